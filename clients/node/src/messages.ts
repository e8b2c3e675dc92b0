/** Inference requests out of tensors, tensors out of inference answers. */

import { BadAnswerError, InvalidInputError } from "./errors.js";
import { ModelInferRequest, type ModelInferResponse } from "./generated/ortolan/inference/inference.js";
import { fromRaw, type InputTensor, type Tensor, toRaw } from "./tensors.js";

export type Inputs = Readonly<Record<string, InputTensor>>;
export type Outputs = Record<string, Tensor>;

export interface InferParts {
  /** The one that serves by default if not given. */
  version?: string | undefined;
  /** Names of the outputs to send back; all of them if not given. */
  outputs?: readonly string[] | undefined;
}

/** Throws InvalidInputError naming the tensor. */
export function inferRequest(model: string, inputs: Inputs, parts: InferParts, id = ""): ModelInferRequest {
  const names = Object.entries(inputs);
  const rawInputContents = names.map(([name, tensor]) => rawOf(name, tensor, model)); // first: it refuses what is no tensor
  return ModelInferRequest.fromPartial({
    modelName: model,
    modelVersion: parts.version ?? "",
    id,
    inputs: names.map(([name, { datatype, shape }]) => ({ name, datatype, shape: [...shape] })),
    outputs: parts.outputs?.map((name) => ({ name })) ?? [],
    rawInputContents,
  });
}

/** In the order of the answer. Throws BadAnswerError naming the tensor. */
export function outputTensors(answer: ModelInferResponse, model: string): Outputs {
  const { outputs, rawOutputContents } = answer;
  if (rawOutputContents.length !== outputs.length) {
    const came = `${outputs.length} outputs came with ${rawOutputContents.length} raw contents`;
    throw new BadAnswerError(came, "INTERNAL", model);
  }
  return Object.fromEntries(
    outputs.map(({ name, datatype, shape }, index) => {
      try {
        return [name, fromRaw(datatype, shape, rawOutputContents[index] as Uint8Array)];
      } catch (cause) {
        throw new BadAnswerError(`output '${name}': ${(cause as Error).message}`, "INTERNAL", model, { cause });
      }
    }),
  );
}

function rawOf(name: string, tensor: InputTensor, model: string): Uint8Array {
  try {
    return toRaw(tensor);
  } catch (cause) {
    throw new InvalidInputError(`input '${name}': ${(cause as Error).message}`, "INVALID_ARGUMENT", model, { cause });
  }
}
