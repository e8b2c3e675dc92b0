/** Deadlines, signals, retries and streams, against the live server. */

import assert from "node:assert/strict";
import { after, type TestContext, test } from "node:test";
import {
  Client,
  type ClientOptions,
  DeadlineExceededError,
  expectTensor,
  type Inputs,
  InvalidInputError,
  NotFoundError,
  UnavailableError,
} from "ortolan-client";
import { type Fate, Relay } from "./relay.js";
import { ADDRESS } from "./server.js";

const client = new Client(ADDRESS, { timeoutMs: 30_000 });
after(() => client.close());

/** A run that does not end by itself. */
const ENDLESS: Inputs = { n: scalar(2n ** 62n) };
/** More than a relay lets through, and more than gRPC by itself keeps for another try. */
const ROWS = 2 ** 20;
const LARGE: Inputs = { x: { datatype: "UINT8", shape: [ROWS, 3], data: new Uint8Array(3 * ROWS).fill(7) } };

test("a call ends at its deadline", async () => {
  await assert.rejects(client.infer("countdown", ENDLESS, { timeoutMs: 200 }), DeadlineExceededError);
  const hasty = new Client(ADDRESS, { timeoutMs: 200 });
  await assert.rejects(hasty.infer("countdown", ENDLESS), DeadlineExceededError);
  hasty.close();
});

test("every call has a deadline", async () => {
  for (const timeoutMs of [0, -1, Number.POSITIVE_INFINITY, Number.NaN]) {
    assert.throws(() => new Client(ADDRESS, { timeoutMs }), RangeError);
    await assert.rejects(client.serverReady({ timeoutMs }), RangeError);
  }
});

test("a signal gives a call up", async () => {
  const reason = new Error("enough");
  const giving = new AbortController();
  const call = client.infer("countdown", ENDLESS, { signal: giving.signal });
  giving.abort(reason);
  await assert.rejects(call, (error) => error === reason);
  // The server has let go of it, too: that model makes one run at a time.
  await client.infer("countdown", { n: scalar(1n) });
  await assert.rejects(client.serverReady({ signal: giving.signal }), (error) => error === reason);
  await assert.rejects(numbers([0], giving.signal).next(), (error) => error === reason);
  await assert.rejects(client.watch("", { signal: giving.signal }).next(), (error) => error === reason);
});

test("a signal gives a stream up between two answers", async () => {
  const giving = new AbortController();
  const answers = client.stream("countdown", [{ n: scalar(1n) }, ENDLESS], { signal: giving.signal });
  const first = await answers.next();
  assert(!first.done && first.value.outputs);
  assert.equal(expectTensor(first.value.outputs, "y", "FP32").data[0], 1);
  const second = answers.next();
  giving.abort();
  await assert.rejects(second, { name: "AbortError" });
});

test("a call whose connection breaks is tried again, four times in all", async (t) => {
  const [patient, relay] = await through(t, (connection) => (connection < 3 ? "cut" : "serve"));
  const outputs = await patient.infer("echo_uint8", LARGE);
  assert.deepEqual(expectTensor(outputs, "y", "UINT8").data, LARGE.x?.data);
  assert.equal(relay.connections, 4);
});

test("a call whose connections all break ends with UNAVAILABLE", async (t) => {
  const [unlucky, relay] = await through(t, () => "cut");
  await assert.rejects(unlucky.infer("echo_uint8", LARGE), UnavailableError);
  assert.equal(relay.connections, 4);
});

test("a server that hangs is found out by pings", async (t) => {
  const channelOptions = { "grpc.keepalive_time_ms": 500, "grpc.keepalive_timeout_ms": 3_000 };
  const [patient, relay] = await through(t, (connection) => (connection < 1 ? "hang" : "serve"), { channelOptions });
  await patient.infer("echo_uint8", LARGE);
  assert.equal(relay.connections, 2);
});

test("several addresses share the calls", async (t) => {
  const relays = [await listening(t, () => "serve"), await listening(t, () => "serve")];
  const balanced = new Client(`ipv4:${relays.map(({ address }) => address).join(",")}`);
  t.after(() => balanced.close());
  while (relays.some(({ connections }) => connections === 0)) assert(await balanced.serverReady());
});

test("nobody listens", async (t) => {
  const lost = new Client("127.0.0.1:1");
  t.after(() => lost.close());
  await assert.rejects(
    lost.serverReady(),
    (error) => error instanceof UnavailableError && error.code === "UNAVAILABLE",
  );
});

test("a closed client takes no calls", async () => {
  const closed = new Client(ADDRESS);
  closed[Symbol.dispose]();
  await assert.rejects(closed.serverReady());
});

test("what is no address, no token or no certificate is refused at once", () => {
  for (const address of ["", "localhost", "http://localhost:8001", "localhost:"]) {
    assert.throws(() => new Client(address), TypeError, address);
  }
  assert.throws(
    () => new Client(ADDRESS, { token: "se cret" }),
    (error) => error instanceof TypeError && !error.message.includes("cret"),
  );
  assert.throws(() => new Client(ADDRESS, { tls: { cert: "me" } }), TypeError);
});

test("what cannot be sent is refused before it is, with the name of the tensor", async () => {
  const wrong = { datatype: "FP32", shape: [1, 3], data: [1, 2, 3] as unknown as Float32Array } as const;
  await assert.rejects(client.infer("echo_fp32", { x: wrong }), (error) => {
    assert(error instanceof InvalidInputError);
    assert.equal(error.message, "input 'x': FP32 is held by Float32Array, not by Array");
    return error.code === "INVALID_ARGUMENT";
  });
  const bare = new Float32Array(3) as unknown as typeof wrong;
  await assert.rejects(client.infer("echo_fp32", { x: bare }), /input 'x': a tensor is { datatype, shape, data }/);
});

test("a stream draws its inputs as they are answered, and lets go of them when it is left", async () => {
  let drawn = 0;
  const closed = new Promise<void>((resolve) => {
    async function leave() {
      const answers = numbers(endless());
      for await (const { index } of answers) if (index === 99) break;
    }
    function* endless() {
      try {
        for (; ; drawn++) yield drawn;
      } finally {
        resolve();
      }
    }
    void leave();
  });
  await closed;
  assert(drawn < 150, `${drawn} were drawn for 100 answers`);
  assert(await client.serverReady());
});

test("what the inputs of a stream throw comes after the answers to those before", async () => {
  const reason = new Error("no more");
  function* failing() {
    yield* [0, 1];
    throw reason;
  }
  let count = 0;
  await assert.rejects(
    async () => {
      for await (const _ of numbers(failing())) count += 1;
    },
    (error) => error === reason,
  );
  assert.equal(count, 2);
});

test("a stream ends at its deadline", async () => {
  await assert.rejects(client.stream("countdown", [ENDLESS], { timeoutMs: 300 }).next(), DeadlineExceededError);
});

test("watch tells the present state, then waits", async () => {
  const giving = new AbortController();
  const news = client.watch("echo_fp32", { signal: giving.signal });
  const first = await news.next();
  assert(!first.done);
  const { model, version, servingProvider, verdict } = first.value;
  assert.deepEqual(
    { model, version, servingProvider, verdict },
    {
      model: "echo_fp32",
      version: "1",
      servingProvider: "cpu",
      verdict: "KEPT",
    },
  );
  const second = news.next();
  giving.abort();
  await assert.rejects(second, { name: "AbortError" });
  for await (const { verdict } of client.watch("degraded")) {
    assert.equal(verdict, "DEGRADED");
    break;
  }
  await assert.rejects(client.watch("nobody").next(), NotFoundError);
});

test("the server, its providers and an assignment in full", async () => {
  assert.equal(await client.serverReady(), true);
  assert.equal((await client.server()).limits?.maxMessageBytes, 256 * 2 ** 20);
  const [cpu, ...others] = await client.providers({ names: ["cpu"] });
  assert.equal(others.length, 0);
  assert.equal(cpu?.availability, "AVAILABLE");
  const assignment = await client.assignment("simple");
  assert.equal(assignment.verdict?.state, "KEPT");
  assert.deepEqual(assignment.shares[0]?.nodeList.map(({ opType }) => opType).sort(), ["Add", "Sub"]);
  assert((assignment.loadedAt?.getTime() ?? 0) > 0);
  const { shares } = await client.assignment("simple", { omitNodes: true });
  assert.deepEqual(shares[0]?.nodeList, []);
});

function scalar(value: bigint): Inputs[string] {
  return { datatype: "INT64", shape: [], data: BigInt64Array.of(value) };
}

/** A stream of one row for each number. */
function numbers(values: Iterable<number>, signal?: AbortSignal) {
  function* rows() {
    for (const value of values) {
      const data = BigInt64Array.of(BigInt(value), 0n, 0n);
      yield { x: { datatype: "INT64", shape: [1, 3], data } } as const;
    }
  }
  return client.stream("echo_int64", rows(), { signal });
}

async function listening(t: TestContext, fates: (connection: number) => Fate): Promise<Relay> {
  const relay = await Relay.listen(fates);
  t.after(() => relay.close());
  return relay;
}

/** A client whose way to the server has these fates. */
async function through(
  t: TestContext,
  fates: (connection: number) => Fate,
  options: ClientOptions = {},
): Promise<[Client, Relay]> {
  const relay = await listening(t, fates);
  const made = new Client(relay.address, options);
  t.after(() => made.close());
  return [made, relay];
}
