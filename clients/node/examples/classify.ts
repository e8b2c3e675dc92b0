/**
 * Says what type a file is, with the model magika, and where that model runs.
 *
 *     node dist/examples/classify.js ADDRESS LABELS FILE
 *
 * LABELS has the names of the model's classes, one a line: `make serve` writes examples/models/magika/labels.txt.
 */

import { readFileSync } from "node:fs";
import { Client, expectTensor } from "ortolan-client";

/** The model looks at so many bytes at either end of a file, without white space around them; PADDING fills up. */
const SIDE = 1024;
const BLOCK = 4096;
const PADDING = 256;

const WHITE_SPACE = new Set(Buffer.from(" \t\n\r\v\f"));

const [address, labelsPath, path] = process.argv.slice(2);
if (!address || !labelsPath || !path) {
  console.error("usage: classify ADDRESS LABELS FILE");
  process.exit(2);
}

const labels = readFileSync(labelsPath, "utf8").trim().split("\n");
const bytes = features(readFileSync(path));

const client = new Client(address);
const outputs = await client.infer("magika", { bytes: { datatype: "INT32", shape: [1, bytes.length], data: bytes } });
const scores = expectTensor(outputs, "target_label", "FP32").data;
const best = scores.indexOf(Math.max(...scores));
console.log(`${path}: ${labels[best]} (${scores[best]?.toFixed(3)})`);

const { verdict, servingProvider, shares } = await client.assignment("magika", { omitNodes: true });
const nodes = shares.map(({ provider, nodes }) => `${provider} ${nodes}`).join(", ");
console.log(`magika: ${verdict?.state} on ${servingProvider}, nodes: ${nodes}`);
client.close();

function features(content: Buffer): Int32Array {
  const head = content.subarray(0, BLOCK);
  const tail = content.subarray(-BLOCK);
  const first = head.findIndex((byte) => !WHITE_SPACE.has(byte));
  const last = tail.findLastIndex((byte) => !WHITE_SPACE.has(byte));
  const start = first === -1 ? Buffer.alloc(0) : head.subarray(first, first + SIDE);
  const end = tail.subarray(Math.max(0, last + 1 - SIDE), last + 1);
  const values = new Int32Array(2 * SIDE).fill(PADDING);
  values.set(start);
  values.set(end, values.length - end.length);
  return values;
}
