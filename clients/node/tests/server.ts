/** The live server that the tests talk to, and the vectors that say what it answers. */

import { readFileSync } from "node:fs";
import type { DataOf, Datatype, Inputs, InputTensor } from "ortolan-client";

/** HOST:PORT of a server that has the models of the vectors. */
export const ADDRESS = fromEnvironment("ORTOLAN_ADDRESS");

export interface TensorVector {
  name: string;
  datatype: Datatype;
  shape: number[];
  /** Base64 of what travels. */
  raw: string;
  /** Text for BYTES, INT64 and UINT64. Not there for FP16, BF16 and what is wrong on purpose. */
  values?: (number | boolean | string)[];
}

interface InferVector {
  name: string;
  model: string;
  version: string;
  inputs: TensorVector[];
  outputs: TensorVector[];
}

interface FailureVector {
  name: string;
  rpc: "ModelInfer" | "ModelMetadata" | "ModelReady" | "GetAssignment";
  model: string;
  version: string;
  inputs: TensorVector[];
  code: string;
  text: string;
}

interface StreamVector {
  name: string;
  model: string;
  items: { inputs: TensorVector[]; outputs?: TensorVector[]; error?: string }[];
}

type Declared = Pick<TensorVector, "name" | "datatype" | "shape">[];

export interface Vectors {
  infer: InferVector[];
  failures: FailureVector[];
  streams: StreamVector[];
  health: { service: string; status?: string; code?: string }[];
  ready: { model: string; ready: boolean }[];
  metadata: { model: string; inputs: Declared; outputs: Declared }[];
  assignments: ({ model: string } & Record<string, unknown>)[];
}

export const VECTORS: Vectors = JSON.parse(readFileSync(fromEnvironment("ORTOLAN_VECTORS"), "utf8"));

const FROM_VALUES: { [D in Datatype]?: (values: never[]) => DataOf[D] } = {
  BOOL: (values: boolean[]) => Uint8Array.from(values, Number),
  UINT8: (values: number[]) => Uint8Array.from(values),
  UINT16: (values: number[]) => Uint16Array.from(values),
  UINT32: (values: number[]) => Uint32Array.from(values),
  UINT64: (values: string[]) => BigUint64Array.from(values, BigInt),
  INT8: (values: number[]) => Int8Array.from(values),
  INT16: (values: number[]) => Int16Array.from(values),
  INT32: (values: number[]) => Int32Array.from(values),
  INT64: (values: string[]) => BigInt64Array.from(values, BigInt),
  FP32: (values: number[]) => Float32Array.from(values),
  FP64: (values: number[]) => Float64Array.from(values),
  BYTES: (values: string[]) => values.map((value) => Buffer.from(value)),
};

const FROM_RAW: { [D in Datatype]?: (raw: ArrayBuffer) => DataOf[D] } = {
  FP16: (raw) => new Uint16Array(raw),
  BF16: (raw) => new Uint16Array(raw),
  FP32: (raw) => new Float32Array(raw),
  BYTES: (raw) => elements(Buffer.from(raw)),
};

/** The elements of a vector's tensor: out of its values, or out of its bytes where it has none. */
export function dataOf({ datatype, values, raw }: TensorVector): DataOf[Datatype] {
  const data = values
    ? FROM_VALUES[datatype]?.(values as never[])
    : FROM_RAW[datatype]?.(new Uint8Array(Buffer.from(raw, "base64")).buffer);
  if (data === undefined) throw new Error(`these tests do not know how to make ${datatype} of that vector`);
  return data;
}

export function inputsOf(tensors: TensorVector[]): Inputs {
  return Object.fromEntries(
    tensors.map((tensor) => {
      const { name, datatype, shape } = tensor;
      return [name, { datatype, shape, data: dataOf(tensor) } as InputTensor];
    }),
  );
}

function elements(raw: Buffer): Buffer[] {
  if (raw.length === 0) return [];
  const end = 4 + raw.readUInt32LE();
  return [raw.subarray(4, end), ...elements(raw.subarray(end))];
}

function fromEnvironment(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: \`make test-clients\`, in the repository's root, sets it`);
  return value;
}
