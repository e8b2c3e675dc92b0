/** Tensors, and their raw contents: little-endian, row-major, elements of BYTES each behind their length. */

/** The datatypes of the protocol, and what holds the elements of each. */
export interface DataOf {
  /** 0 or 1. */
  BOOL: Uint8Array;
  UINT8: Uint8Array;
  UINT16: Uint16Array;
  UINT32: Uint32Array;
  UINT64: BigUint64Array;
  INT8: Int8Array;
  INT16: Int16Array;
  INT32: Int32Array;
  INT64: BigInt64Array;
  /** Bit patterns. */
  FP16: Uint16Array;
  FP32: Float32Array;
  FP64: Float64Array;
  /** Bit patterns: the upper halves of those of float32. */
  BF16: Uint16Array;
  BYTES: Buffer[];
}

export type Datatype = keyof DataOf;

/** A tensor of a known datatype. */
export interface TensorOf<D extends Datatype> {
  readonly datatype: D;
  readonly shape: readonly number[];
  /** The elements, row by row. */
  readonly data: DataOf[D];
}

/** A tensor as it comes back; `datatype` tells what `data` is. */
export type Tensor = { [D in Datatype]: TensorOf<D> }[Datatype];

/** A tensor as it is sent: one that came back, or BYTES made of text. */
export type InputTensor =
  | Tensor
  | { readonly datatype: "BYTES"; readonly shape: readonly number[]; readonly data: readonly (string | Uint8Array)[] };

type Numeric = Exclude<Datatype, "BYTES">;

interface ArrayType<A> {
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): A;
}

const ARRAYS: { readonly [D in Numeric]: ArrayType<DataOf[D]> } = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
  BF16: Uint16Array,
};

const LENGTH_BYTES = 4;

/**
 * What travels; for numbers a view of the tensor's own memory. Throws TypeError for data that cannot hold the datatype.
 *
 * Whether the elements fill the shape is for the server to say.
 */
export function toRaw({ datatype, shape, data }: InputTensor): Uint8Array {
  if (!Array.isArray(shape)) throw new TypeError("a tensor is { datatype, shape, data }, and shape an array");
  if (datatype === "BYTES") return withLengths(data);
  const wanted: ArrayType<unknown> | undefined = ARRAYS[datatype];
  if (wanted === undefined) throw new TypeError(`${String(datatype)} is no datatype of the protocol`);
  // By name: an array of another realm (a test runner's, for one) is no `instanceof` of ours.
  const held = ArrayBuffer.isView(data) ? data[Symbol.toStringTag] : Array.isArray(data) ? "Array" : typeof data;
  if (held !== wanted.name) throw new TypeError(`${datatype} is held by ${wanted.name}, not by ${held}`);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** A view of `raw` where its place in memory allows, or else a copy. Throws RangeError when `raw` does not fit. */
export function fromRaw(datatype: string, shape: readonly number[], raw: Uint8Array): Tensor {
  const count = shape.reduce((product, dimension) => product * dimension, 1);
  if (datatype === "BYTES") return { datatype, shape, data: split(raw, count) };
  if (!(datatype in ARRAYS)) throw new RangeError(`${datatype} is no datatype of the protocol`);
  const type: ArrayType<unknown> = ARRAYS[datatype as Numeric];
  const wanted = count * type.BYTES_PER_ELEMENT;
  if (raw.byteLength !== wanted) {
    throw new RangeError(`${datatype} [${shape}] takes ${wanted} bytes, ${raw.byteLength} came`);
  }
  const { buffer, byteOffset } = raw.byteOffset % type.BYTES_PER_ELEMENT === 0 ? raw : new Uint8Array(raw);
  return { datatype, shape, data: new type(buffer, byteOffset, count) } as Tensor;
}

/**
 * The output of that name, when it is of that datatype: `expectTensor(outputs, "scores", "FP32").data` is a
 * Float32Array. Throws TypeError when it is not.
 */
export function expectTensor<D extends Datatype>(outputs: Record<string, Tensor>, name: string, datatype: D) {
  const tensor = outputs[name];
  if (tensor === undefined) throw new TypeError(`no output '${name}'; there are ${Object.keys(outputs).join(", ")}`);
  if (tensor.datatype !== datatype) throw new TypeError(`output '${name}' is ${tensor.datatype}, not ${datatype}`);
  return tensor as TensorOf<D>;
}

function withLengths(elements: readonly (string | Uint8Array)[]): Uint8Array {
  const parts = elements.flatMap((element) => {
    const bytes = Buffer.from(element as Uint8Array);
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32LE(bytes.length);
    return [length, bytes];
  });
  return Buffer.concat(parts);
}

function split(raw: Uint8Array, count: number): Buffer[] {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  const elements: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const start = at + LENGTH_BYTES;
    const end = start + (start <= bytes.length ? bytes.readUInt32LE(at) : 0);
    if (end > bytes.length) throw new RangeError(`element ${elements.length} of BYTES is cut off`);
    elements.push(bytes.subarray(start, end));
    at = end;
  }
  if (elements.length !== count) throw new RangeError(`BYTES takes ${count} elements, ${elements.length} came`);
  return elements;
}
