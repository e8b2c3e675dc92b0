/** The kinds of calls there are, each with a deadline, the caller's token, and an AbortSignal that gives it up. */

import { once } from "node:events";
import { setImmediate as nextTurn } from "node:timers/promises";
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  type CallOptions as GrpcCallOptions,
  type Client as GrpcClient,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { fromServiceError } from "./errors.js";

export interface CallOptions {
  /** Milliseconds until the call ends with DeadlineExceededError; the client's own if not given. */
  timeoutMs?: number | undefined;
  /** Gives the call up; it then throws the signal's reason. */
  signal?: AbortSignal | undefined;
}

export class Calls {
  readonly #grpc: GrpcClient;
  readonly #metadata: Metadata;
  readonly #timeoutMs: number;

  constructor(grpc: GrpcClient, token: string, timeoutMs: number) {
    this.#grpc = grpc;
    this.#metadata = tokenMetadata(token);
    this.#timeoutMs = checked(timeoutMs);
  }

  /** One question, one answer. `model` is for the error. */
  async unary<Q, A>(method: MethodDefinition<Q, A>, request: Q, model: string, options: CallOptions): Promise<A> {
    const { signal } = options;
    signal?.throwIfAborted();
    return new Promise<A>((resolve, reject) => {
      const call = this.#grpc.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        this.#metadata,
        this.#deadline(options),
        (error, answer) => {
          signal?.removeEventListener("abort", giveUp);
          if (error) reject(failure(error, model, signal));
          else resolve(answer as A);
        },
      );
      const giveUp = () => cancelSoon(call);
      signal?.addEventListener("abort", giveUp, { once: true });
    });
  }

  /** One question, and answers until the caller leaves: the one kind without a deadline, for it is there to wait. */
  async *watch<Q, A>(
    method: MethodDefinition<Q, A>,
    request: Q,
    model: string,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<A, void, undefined> {
    signal?.throwIfAborted();
    const { path, requestSerialize, responseDeserialize } = method;
    const call = this.#grpc.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      this.#metadata,
    );
    yield* answers(call, model, signal);
  }

  /** Many questions and their answers. What `requests` throws is thrown after the answers to those before. */
  async *stream<Q, A>(
    method: MethodDefinition<Q, A>,
    requests: AsyncIterable<Q>,
    model: string,
    options: CallOptions,
  ): AsyncGenerator<A, void, undefined> {
    options.signal?.throwIfAborted();
    const { path, requestSerialize, responseDeserialize } = method;
    const deadline = this.#deadline(options);
    const call = this.#grpc.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      this.#metadata,
      deadline,
    );
    let thrown: { error: unknown } | undefined;
    send(call, requests).catch((error: unknown) => {
      thrown = { error };
    });
    yield* answers(call, model, options.signal);
    if (thrown) throw thrown.error;
  }

  #deadline({ timeoutMs }: CallOptions): GrpcCallOptions {
    return { deadline: Date.now() + (timeoutMs === undefined ? this.#timeoutMs : checked(timeoutMs)) };
  }
}

async function* answers<A>(
  call: ClientReadableStream<A> | ClientDuplexStream<never, A>,
  model: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<A, void, undefined> {
  // The loop below throws errors. This is for one that comes after it: without a listener it would end the process.
  call.on("error", () => {});
  const giveUp = () => cancelSoon(call);
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    for await (const answer of call) yield answer as A;
  } catch (error) {
    throw failure(error, model, signal);
  } finally {
    signal?.removeEventListener("abort", giveUp);
    call.cancel();
  }
}

/** Sends no faster than the connection takes it, and no longer than the call lasts. */
async function send<Q, A>(call: ClientDuplexStream<Q, A>, requests: AsyncIterable<Q>): Promise<void> {
  const ended = new AbortController();
  call.once("status", () => ended.abort());
  try {
    for await (const request of requests) {
      if (ended.signal.aborted) return;
      if (call.write(request)) continue;
      await once(call, "drain", { signal: ended.signal });
      // Until the first answer gRPC keeps requests for another try, and takes them at once: let it do its work, too.
      await nextTurn();
    }
  } finally {
    call.end();
  }
}

/** Not at once: a call that is cancelled while it is being made goes out all the same (grpc-js 1.14.7), and is run. */
function cancelSoon(call: { cancel(): void }): void {
  setImmediate(() => call.cancel());
}

function failure(error: unknown, model: string, signal: AbortSignal | undefined): unknown {
  if (!(error instanceof Error && "details" in error)) return error;
  const { code } = error as ServiceError;
  if (code === status.CANCELLED && signal?.aborted) return signal.reason;
  return fromServiceError(error as ServiceError, model);
}

function tokenMetadata(token: string): Metadata {
  const metadata = new Metadata();
  if (token === "") return metadata;
  if (!/^[!-~]+$/.test(token)) {
    throw new TypeError("the token has a letter that no token has: wanted printable ASCII without blanks");
  }
  metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

function checked(timeoutMs: number): number {
  if (timeoutMs > 0 && Number.isFinite(timeoutMs)) return timeoutMs;
  throw new RangeError(`timeoutMs is a number of milliseconds above 0, not ${timeoutMs}: every call has a deadline`);
}
