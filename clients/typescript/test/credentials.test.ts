import assert from "node:assert/strict";
import { test } from "node:test";

import { createRouterTransport } from "@connectrpc/connect";

import { sending, type KeySource } from "../src/credentials.js";
import { createClientOver, SystemService } from "../src/index.js";

/** Return what is sent as `authorization` by each of some calls. */
async function sent(apiKey: KeySource, calls: number): Promise<(string | null)[]> {
  const found: (string | null)[] = [];
  const transport = createRouterTransport(
    ({ service }) =>
      service(SystemService, {
        getServiceInfo: (_, { requestHeader }) => {
          found.push(requestHeader.get("authorization"));
          return {};
        },
      }),
    { transport: { interceptors: [sending(apiKey)] } },
  );
  const client = createClientOver(() => ({ transport, close: () => undefined }));
  for (let call = 0; call < calls; call++) await client.system.getServiceInfo({});
  return found;
}

test("the key is sent with each call", async () => {
  assert.deepEqual(await sent("tss_a_b", 2), ["Bearer tss_a_b", "Bearer tss_a_b"]);
});

test("a function is asked for the key at each call, and none is sent without one", async () => {
  const keys = ["one", undefined, "", "two"];
  assert.deepEqual(await sent(() => keys.shift(), 4), ["Bearer one", null, null, "Bearer two"]);
});
