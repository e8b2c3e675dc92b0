/** Tensors without a server: what the vectors cannot ask for. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { expectTensor } from "ortolan-client";
import { fromRaw, toRaw } from "../src/tensors.js";

test("numbers are not copied on their way out", () => {
  const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
  const raw = toRaw({ datatype: "FP32", shape: [2], data });
  assert.equal(raw.buffer, data.buffer);
  assert.deepEqual([raw.byteOffset, raw.byteLength], [4, 8]);
});

test("numbers are read wherever they lie", () => {
  const memory = Buffer.from(new Uint8Array([9, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]).buffer);
  const aligned = fromRaw("INT32", [2], memory.subarray(4, 12));
  assert.deepEqual(aligned.data, Int32Array.of(1, 2));
  assert.equal((aligned.data as Int32Array).buffer, memory.buffer);
  assert.deepEqual(fromRaw("INT32", [1], memory.subarray(1, 5)).data, Int32Array.of(2 ** 24));
});

test("an answer that does not fit its shape is refused", () => {
  const one = Buffer.from([1, 0, 0, 0, 65]);
  assert.deepEqual(fromRaw("BYTES", [1, 1], one).data, [Buffer.from("A")]);
  assert.throws(() => fromRaw("FP32", [2], one), /FP32 \[2\] takes 8 bytes, 5 came/);
  assert.throws(() => fromRaw("BYTES", [2], one), /takes 2 elements, 1 came/);
  assert.throws(() => fromRaw("BYTES", [1], one.subarray(0, 4)), /element 0 of BYTES is cut off/);
  assert.throws(() => fromRaw("BYTES", [1], one.subarray(0, 3)), /element 0 of BYTES is cut off/);
  assert.throws(() => fromRaw("FP128", [1], one), /FP128 is no datatype/);
});

test("BYTES are made of text and of bytes", () => {
  const raw = toRaw({ datatype: "BYTES", shape: [2], data: ["ä", Uint8Array.of(255)] });
  assert.deepEqual([...raw], [2, 0, 0, 0, 0xc3, 0xa4, 1, 0, 0, 0, 255]);
});

test("an output is what it is expected to be, or an error says what it is", () => {
  const outputs = { y: fromRaw("INT32", [1], Buffer.alloc(4)) };
  assert.deepEqual(expectTensor(outputs, "y", "INT32").data, Int32Array.of(0));
  assert.throws(() => expectTensor(outputs, "y", "FP32"), /output 'y' is INT32, not FP32/);
  assert.throws(() => expectTensor(outputs, "z", "FP32"), /no output 'z'; there are y/);
});
