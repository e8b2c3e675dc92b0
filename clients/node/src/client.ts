/** The client: one method for each call, typed arrays for tensors, the protocol's own messages for the rest. */

import { type ChannelOptions, Client as GrpcClient } from "@grpc/grpc-js";
import { type CallOptions, Calls } from "./calls.js";
import { channelCredentials, connectionOptions, type Tls } from "./connection.js";
import { BadAnswerError, InferError } from "./errors.js";
import { HealthService, type HealthCheckResponse_ServingStatus as HealthStatus } from "./generated/health/v1/health.js";
import {
  GRPCInferenceServiceService as inference,
  type ModelMetadataResponse,
} from "./generated/ortolan/inference/inference.js";
import {
  type Assignment,
  type AssignmentSummary,
  type GetServerResponse,
  type Provider,
  ProviderReflectionService as reflection,
} from "./generated/ortolan/v1/provider_reflection.js";
import { type InferParts, type Inputs, inferRequest, type Outputs, outputTensors } from "./messages.js";

export interface ClientOptions {
  /** The deadline of calls that have none of their own. Default: 60,000. */
  timeoutMs?: number | undefined;
  /** Without it, what is sent can be read on the way. `{}` trusts the roots that Node.js brings. */
  tls?: Tls | undefined;
  /** Goes with every call, for a server that wants one (`ortolan serve --auth-tokens`). */
  token?: string | undefined;
  /** Options of @grpc/grpc-js; they go over those that this client sets. */
  channelOptions?: ChannelOptions | undefined;
}

export interface ModelOptions extends CallOptions {
  /** The one that serves by default if not given. */
  version?: string | undefined;
}

export interface InferOptions extends CallOptions, InferParts {}

/** An answer of a stream, or why there is none. */
export type StreamAnswer =
  | { readonly index: number; readonly outputs: Outputs; readonly error?: undefined }
  | { readonly index: number; readonly outputs?: undefined; readonly error: InferError };

/**
 * A connection to one server, made at the first call.
 *
 *     const client = new Client("127.0.0.1:8001");
 *     const outputs = await client.infer("digits", { X: { datatype: "FP32", shape: [1, 64], data: pixels } });
 *     console.log((await client.assignment("digits")).servingProvider);
 *     client.close();
 *
 * Every call has a deadline. A call that ends with UNAVAILABLE is tried again, four times in all, with back-off. Calls
 * fail with the subclasses of OrtolanError.
 */
export class Client implements Disposable {
  readonly #grpc: GrpcClient;
  readonly #calls: Calls;

  /** `address` is HOST:PORT, unix:PATH or a target of gRPC. Throws TypeError for what cannot be an address. */
  constructor(address = "127.0.0.1:8001", { timeoutMs = 60_000, tls, token = "", channelOptions }: ClientOptions = {}) {
    const options = { ...connectionOptions(address, tls), ...channelOptions };
    this.#grpc = new GrpcClient(address, channelCredentials(tls), options);
    this.#calls = new Calls(this.#grpc, token, timeoutMs);
  }

  /** Takes no more calls. An idle connection does not keep a process alive, so a script may do without. */
  close(): void {
    this.#grpc.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** One inference: each input by its name, each output by its name. */
  async infer(model: string, inputs: Inputs, options: InferOptions = {}): Promise<Outputs> {
    const request = inferRequest(model, inputs, options);
    return outputTensors(await this.#calls.unary(inference.modelInfer, request, model, options), model);
  }

  /**
   * One inference for each item of `inputs`, over one stream whose deadline is for the whole of it.
   *
   * The answers come in the order of the inputs. An item that fails comes as `{ error }`, and the stream goes on; any
   * other error ends it. The call starts with the first `next()`; inputs are drawn as they are answered, with 32 under
   * way; leaving the loop cancels it.
   */
  async *stream(
    model: string,
    inputs: Iterable<Inputs> | AsyncIterable<Inputs>,
    options: InferOptions = {},
  ): AsyncGenerator<StreamAnswer, void, undefined> {
    async function* requests() {
      let index = 0;
      for await (const item of inputs) yield inferRequest(model, item, options, String(index++));
    }
    let index = 0;
    for await (const answer of this.#calls.stream(inference.modelStreamInfer, requests(), model, options)) {
      if (answer.errorMessage !== "") {
        yield { index, error: new InferError(answer.errorMessage, "UNKNOWN", model) };
      } else {
        yield { index, outputs: outputTensors(expected(answer.inferResponse), model) };
      }
      index += 1;
    }
  }

  /** Does every required model serve? */
  async serverReady(options: CallOptions = {}): Promise<boolean> {
    return (await this.#calls.unary(inference.serverReady, {}, "", options)).ready;
  }

  /** Does this model serve? NotFoundError for one that the server does not know. */
  async modelReady(model: string, options: ModelOptions = {}): Promise<boolean> {
    const request = { name: model, version: options.version ?? "" };
    return (await this.#calls.unary(inference.modelReady, request, model, options)).ready;
  }

  /** The tensors of a model; in `properties` the short form of where it runs. */
  metadata(model: string, options: ModelOptions = {}): Promise<ModelMetadataResponse> {
    const request = { name: model, version: options.version ?? "" };
    return this.#calls.unary(inference.modelMetadata, request, model, options);
  }

  /**
   * What `grpc.health.v1` says, NotFoundError for a service that it does not know.
   *
   * "" is the server; `<model>` and `<model>/<version>` say whether it serves, `<model>#contract` whether its contract
   * is kept.
   */
  async health(service = "", options: CallOptions = {}): Promise<HealthStatus> {
    return (await this.#calls.unary(HealthService.check, { service }, service, options)).status;
  }

  /** Versions, host and limits of the server. */
  server(options: CallOptions = {}): Promise<GetServerResponse> {
    return this.#calls.unary(reflection.getServer, {}, "", options);
  }

  /** Every provider family, or those named: available on the server or not, and why. `refresh`: probe again. */
  async providers(
    options: CallOptions & { names?: readonly string[] | undefined; refresh?: boolean | undefined } = {},
  ): Promise<Provider[]> {
    const request = { names: [...(options.names ?? [])], refresh: options.refresh ?? false };
    return (await this.#calls.unary(reflection.listProviders, request, "", options)).providers;
  }

  /** One line for each served or failed version of a model; "" is for all models. */
  async assignments(model = "", options: CallOptions = {}): Promise<AssignmentSummary[]> {
    return (await this.#calls.unary(reflection.listAssignments, { model }, model, options)).assignments;
  }

  /** All that is known of one version: requested chain, attempts, nodes, verdict. `omitNodes`: without their names. */
  async assignment(
    model: string,
    options: ModelOptions & { omitNodes?: boolean | undefined } = {},
  ): Promise<Assignment> {
    const request = { model, version: options.version ?? "", omitNodes: options.omitNodes ?? false };
    return expected((await this.#calls.unary(reflection.getAssignment, request, model, options)).assignment);
  }

  /** First the present state of each version, then every change, until the loop is left or `signal` says so. */
  async *watch(model = "", options: { signal?: AbortSignal | undefined } = {}): AsyncGenerator<AssignmentSummary> {
    for await (const news of this.#calls.watch(reflection.watchAssignments, { model }, model, options.signal)) {
      yield expected(news.assignment);
    }
  }
}

/** A message that an answer must have. */
function expected<T>(message: T | undefined): T {
  if (message === undefined) throw new BadAnswerError("the answer lacks its message", "INTERNAL");
  return message;
}
