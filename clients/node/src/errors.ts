/** Errors of the client: one class for each thing a caller can do about it. */

import { type ServiceError, status } from "@grpc/grpc-js";

/** gRPC's name of a status: "NOT_FOUND". */
export type Code = keyof typeof status;

/** The base of all errors of this package. */
export class OrtolanError extends Error {
  readonly code: Code;
  /** Empty where no model was named. */
  readonly model: string;

  constructor(message: string, code: Code, model = "", options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.model = model;
  }
}

/** What was sent does not fit the model, or cannot be carried at all. */
export class InvalidInputError extends OrtolanError {}

/** No such model, version or service. */
export class NotFoundError extends OrtolanError {}

/** No server there, or a known model that does not serve now: the message says which. */
export class UnavailableError extends OrtolanError {}

/** The server refuses more work: try again later. */
export class OverloadedError extends OrtolanError {}

/** Over a size limit, the server's or the client's: trying again does not help. */
export class MessageTooLargeError extends OverloadedError {}

/** No answer within `timeoutMs`. */
export class DeadlineExceededError extends OrtolanError {}

/** The server, or `Client.close()`, cancelled the call. A call given up by an AbortSignal throws that signal's reason. */
export class CancelledError extends OrtolanError {}

/** Switched off by the operator, or not permitted to this caller: without a token, too. */
export class NotAllowedError extends OrtolanError {}

/** The server does not know this call. */
export class NotSupportedError extends OrtolanError {}

/** It failed on the server's side. */
export class ServerError extends OrtolanError {}

/** The answer breaks the protocol. */
export class BadAnswerError extends OrtolanError {}

/** One item of a stream failed, and the stream goes on. Such errors come as text alone: `code` is "UNKNOWN". */
export class InferError extends OrtolanError {}

const CLASSES: { readonly [code in Code]?: typeof OrtolanError } = {
  CANCELLED: CancelledError,
  INVALID_ARGUMENT: InvalidInputError,
  OUT_OF_RANGE: InvalidInputError,
  DEADLINE_EXCEEDED: DeadlineExceededError,
  NOT_FOUND: NotFoundError,
  PERMISSION_DENIED: NotAllowedError,
  UNAUTHENTICATED: NotAllowedError,
  RESOURCE_EXHAUSTED: OverloadedError,
  UNIMPLEMENTED: NotSupportedError,
  UNAVAILABLE: UnavailableError,
};

// In gRPC's words and in our server's: "larger than max", "with a size larger than".
const TOO_LARGE = /\blarger than\b/;
// How gRPC begins on the server's side, where it answers itself.
const ON_THE_SERVER = "SERVER:";

/** The counterpart of an error of gRPC; codes without a class of their own become ServerError. */
export function fromServiceError(error: ServiceError, model: string): OrtolanError {
  const code = status[error.code] as Code;
  const tooLarge = code === "RESOURCE_EXHAUSTED" && TOO_LARGE.test(error.details);
  if (tooLarge) return new MessageTooLargeError(withLimit(error.details), code, model, { cause: error });
  const type = CLASSES[code] ?? ServerError;
  return new type(error.details, code, model, { cause: error });
}

/** Adds which setting to raise, where the text does not say it. */
function withLimit(message: string): string {
  const unsaid = message.startsWith(ON_THE_SERVER);
  return unsaid ? `${message}; the server's limit is set by ortolan serve --max-message-size` : message;
}
