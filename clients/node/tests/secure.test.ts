/** TLS, mTLS and tokens, against a server that demands them. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Client, type ClientOptions, NotAllowedError, UnavailableError } from "ortolan-client";

// HOST:PORT of a server that demands certificate and token; files; the token.
const { ORTOLAN_SECURE_ADDRESS: address, ORTOLAN_CA, ORTOLAN_CERT, ORTOLAN_KEY, ORTOLAN_TOKEN: token } = process.env;
const skip = address ? false : "ORTOLAN_SECURE_ADDRESS is not set: `make test-clients` sets it";

const ca = content(ORTOLAN_CA);
const pair = { cert: content(ORTOLAN_CERT), key: content(ORTOLAN_KEY) };

test("a certificate and a token are shown", { skip }, async () => {
  assert.equal(await ready({ tls: { ca, ...pair }, token }), true);
  const address = `dns:${process.env.ORTOLAN_SECURE_ADDRESS?.replace(/.*:/, "localhost:")}`;
  assert.equal(await ready({ tls: { ca, ...pair }, token }, address), true);
});

test("without a token nothing is answered", { skip }, async () => {
  await assert.rejects(ready({ tls: { ca, ...pair } }), NotAllowedError);
});

test("without a certificate nobody gets in", { skip }, async () => {
  await assert.rejects(ready({ tls: { ca }, token }), UnavailableError);
});

test("a server that is not trusted is not talked to", { skip }, async () => {
  await assert.rejects(ready({ tls: pair, token }), UnavailableError);
  await assert.rejects(ready({ tls: { ca, ...pair, serverName: "elsewhere.example" }, token }), UnavailableError);
});

test("without TLS there is no connection", { skip }, async () => {
  await assert.rejects(ready({ token }), UnavailableError);
});

async function ready(options: ClientOptions, at = address): Promise<boolean> {
  const client = new Client(at, { timeoutMs: 20_000, ...options });
  try {
    return await client.serverReady();
  } finally {
    client.close();
  }
}

function content(path: string | undefined): Buffer | undefined {
  return path ? readFileSync(path) : undefined;
}
