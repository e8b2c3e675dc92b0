/** What every client must send, and what must come back: the vectors that all languages share. */

import assert from "node:assert/strict";
import { after, suite, test } from "node:test";
import { Client, type Outputs } from "ortolan-client";
import { ADDRESS, dataOf, inputsOf, type TensorVector, VECTORS } from "./server.js";

const client = new Client(ADDRESS, { timeoutMs: 30_000 });
after(() => client.close());

suite("infer", () => {
  for (const { name, model, version, inputs, outputs } of VECTORS.infer) {
    test(name, async () => expectOutputs(await client.infer(model, inputsOf(inputs), { version }), outputs));
  }

  test("one output of two", async () => {
    const vector = VECTORS.infer.find(({ outputs }) => outputs.length === 2);
    assert(vector);
    const wanted = vector.outputs.slice(1);
    const options = { outputs: wanted.map(({ name }) => name) };
    expectOutputs(await client.infer(vector.model, inputsOf(vector.inputs), options), wanted);
  });
});

suite("failures", () => {
  for (const { name, rpc, model, version, inputs, code, text } of VECTORS.failures) {
    const calls = {
      ModelInfer: () => client.infer(model, inputsOf(inputs), { version }),
      ModelMetadata: () => client.metadata(model, { version }),
      ModelReady: () => client.modelReady(model, { version }),
      GetAssignment: () => client.assignment(model, { version }),
    };
    test(name, async () => {
      const error = await rejection(calls[rpc]());
      assert.equal(error.code, code);
      assert.equal(error.model, model);
      assert(error.message.includes(text), error.message);
    });
  }
});

suite("streams", () => {
  for (const { name, model, items } of VECTORS.streams) {
    test(name, async () => {
      let count = 0;
      for await (const { index, outputs, error } of client.stream(
        model,
        items.map(({ inputs }) => inputsOf(inputs)),
      )) {
        const item = items[count];
        assert(item);
        assert.equal(index, count);
        if (outputs) expectOutputs(outputs, item.outputs ?? []);
        else assert(item.error && error.message.includes(item.error), error.message);
        count += 1;
      }
      assert.equal(count, items.length);
    });
  }
});

suite("health", () => {
  for (const { service, status, code } of VECTORS.health) {
    test(service || "the server", async () => {
      if (code) assert.equal((await rejection(client.health(service))).code, code);
      else assert.equal(await client.health(service), status);
    });
  }
});

suite("ready", () => {
  for (const { model, ready } of VECTORS.ready) {
    test(model, async () => assert.equal(await client.modelReady(model), ready));
  }
});

suite("metadata", () => {
  for (const { model, inputs, outputs } of VECTORS.metadata) {
    test(model, async () => {
      const came = await client.metadata(model);
      assert.deepEqual({ inputs: came.inputs, outputs: came.outputs }, { inputs, outputs });
    });
  }
});

suite("assignments", () => {
  for (const vector of VECTORS.assignments) {
    test(vector.model, async () => {
      const rows = await client.assignments(vector.model);
      assert.equal(rows.length, 1);
      const row = Object.fromEntries(Object.entries(rows[0] ?? {}).map(([key, value]) => [snakeCase(key), value]));
      for (const [key, value] of Object.entries(vector)) assert.deepEqual(row[key], value, key);
    });
  }
});

/** The outputs are those of the vector, in that order, bit for bit. */
function expectOutputs(outputs: Outputs, wanted: TensorVector[]): void {
  assert.deepEqual(
    Object.keys(outputs),
    wanted.map(({ name }) => name),
  );
  for (const vector of wanted) {
    const { datatype, shape, data } = outputs[vector.name] ?? {};
    assert.deepEqual(
      { datatype, shape, data },
      { datatype: vector.datatype, shape: vector.shape, data: dataOf(vector) },
    );
    if (ArrayBuffer.isView(data)) {
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      assert.equal(bytes.toString("base64"), vector.raw);
    }
  }
}

async function rejection(call: Promise<unknown>): Promise<{ code: string; model: string; message: string }> {
  return call.then(
    () => assert.fail("it did not fail"),
    (error) => error,
  );
}

function snakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
