/** What becomes of gRPC's errors. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { fromServiceError, MessageTooLargeError } from "../src/errors.js";

function refused(details: string): ServiceError {
  const error = { code: status.RESOURCE_EXHAUSTED, details, metadata: new Metadata() };
  return Object.assign(new Error(details), error);
}

test("the server's limit is named where gRPC on its side does not name it", () => {
  const hint = "; the server's limit is set by ortolan serve --max-message-size";
  const added = {
    "SERVER: Received message larger than max (9 vs. 8)": hint,
    "Received message larger than max (9 vs 8)": "",
    [`the message is larger than max: 9 vs. 8 bytes${hint}`]: "",
  };
  for (const [details, more] of Object.entries(added)) {
    const error = fromServiceError(refused(details), "model");
    assert(error instanceof MessageTooLargeError);
    assert.equal(error.message, details + more);
  }
});
