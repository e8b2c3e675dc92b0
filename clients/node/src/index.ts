export type { CallOptions } from "./calls.js";
export { Client, type ClientOptions, type InferOptions, type ModelOptions, type StreamAnswer } from "./client.js";
export type { Tls } from "./connection.js";
export {
  BadAnswerError,
  CancelledError,
  type Code,
  DeadlineExceededError,
  InferError,
  InvalidInputError,
  MessageTooLargeError,
  NotAllowedError,
  NotFoundError,
  NotSupportedError,
  OrtolanError,
  OverloadedError,
  ServerError,
  UnavailableError,
} from "./errors.js";
export type { HealthCheckResponse_ServingStatus as HealthStatus } from "./generated/health/v1/health.js";
export type { ModelMetadataResponse } from "./generated/ortolan/inference/inference.js";
export type {
  Assignment,
  AssignmentSummary,
  GetServerResponse,
  Provider,
} from "./generated/ortolan/v1/provider_reflection.js";
export type { Inputs, Outputs } from "./messages.js";
export { type DataOf, type Datatype, expectTensor, type InputTensor, type Tensor, type TensorOf } from "./tensors.js";
