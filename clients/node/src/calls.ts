/** The kinds of calls there are, each with a deadline, the caller's token, and an AbortSignal that gives it up. */

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

// Of one stream, unanswered. gRPC's own back-pressure does not hold a sender: it takes requests at once, for another try.
const IN_FLIGHT = 32;

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
    const places = new Places(IN_FLIGHT);
    let thrown: { error: unknown } | undefined;
    send(call, requests, places).catch((error: unknown) => {
      thrown = { error };
    });
    for await (const answer of answers(call, model, options.signal)) {
      places.free();
      yield answer;
    }
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

/** Sends while there are places, and no longer than the call lasts. */
async function send<Q, A>(call: ClientDuplexStream<Q, A>, requests: AsyncIterable<Q>, places: Places): Promise<void> {
  let ended = false;
  call.once("status", () => {
    ended = true;
    places.free();
  });
  try {
    for await (const request of requests) {
      await places.take();
      if (ended) return;
      call.write(request);
    }
  } finally {
    call.end();
  }
}

/** A number of places; who finds none free waits for one. There is one who takes. */
class Places {
  #free: number;
  #freed: (() => void) | undefined;

  constructor(count: number) {
    this.#free = count;
  }

  async take(): Promise<void> {
    if (this.#free === 0) await new Promise<void>((resolve) => (this.#freed = resolve));
    this.#free -= 1;
  }

  free(): void {
    this.#free += 1;
    this.#freed?.();
    this.#freed = undefined;
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
