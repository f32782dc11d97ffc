import assert from "node:assert/strict";
import { test } from "node:test";

import { Code, createRouterTransport, type HandlerContext } from "@connectrpc/connect";

import {
  AccountService,
  createClientOver,
  KEYED,
  Overloaded,
  PositionService,
  SERVICES,
  SignalService,
  SystemService,
  Unavailable,
  type Client,
  type KeyedCallOptions,
} from "../src/index.js";
import { failure, TestClock } from "./support.js";

/** A service that fails a given number of times, and keeps the keys that it was sent. */
class Scripted {
  readonly keys: (string | null)[] = [];
  readonly failures: Code[] = [];
  readonly clock = new TestClock();

  client(timeoutMs = 10_000): Client {
    const transport = createRouterTransport(({ service }) => {
      const answer = (_: unknown, { requestHeader }: HandlerContext) => {
        this.keys.push(requestHeader.get("idempotency-key"));
        const code = this.failures.shift();
        if (code !== undefined) throw failure(code, "STORAGE_UNAVAILABLE");
        return {};
      };
      service(SystemService, { getServiceInfo: answer });
      service(SignalService, { generateSignal: answer, generateSignalFromDb: answer });
      service(PositionService, { closePosition: answer });
      service(AccountService, { haltTrading: answer, resumeTrading: answer });
    });
    return createClientOver(() => ({ transport, close: () => undefined }), { timeoutMs, clock: this.clock });
  }
}

type Method = (request: object, options?: KeyedCallOptions) => Promise<unknown>;

for (const [service, methods] of Object.entries(KEYED)) {
  for (const method of methods) {
    const call = (client: Client, options?: KeyedCallOptions) =>
      (client[service as keyof typeof SERVICES] as unknown as Record<string, Method>)[method]!({}, options);

    test(`attempts of ${method} have one key, and those of the next call another`, async () => {
      const scripted = new Scripted();
      const client = scripted.client();
      scripted.failures.push(Code.Unavailable, Code.Unavailable);
      await call(client);
      await call(client);
      const [first, second, third, next] = scripted.keys;
      assert.match(first ?? "", /^[0-9a-f]{32}$/);
      assert.deepEqual([second, third], [first, first]);
      assert.notEqual(next, first);
      assert.deepEqual(scripted.clock.pauses, [100, 200]);
    });

    test(`${method} sends the key that it is given`, async () => {
      const scripted = new Scripted();
      scripted.failures.push(Code.Unavailable);
      await call(scripted.client(), { idempotencyKey: "mine" });
      await call(scripted.client(), { headers: { "Idempotency-Key": "header" } });
      assert.deepEqual(scripted.keys, ["mine", "mine", "header"]);
    });
  }
}

test("other errors of a call that acts are thrown at once", async () => {
  const scripted = new Scripted();
  scripted.failures.push(Code.ResourceExhausted);
  await assert.rejects(scripted.client().account.haltTrading({}), Overloaded);
  assert.equal(scripted.keys.length, 1);
});

test("calls that do not act have no key and are not repeated", async () => {
  const scripted = new Scripted();
  scripted.failures.push(Code.Unavailable);
  await assert.rejects(scripted.client().system.getServiceInfo({}), Unavailable);
  assert.deepEqual(scripted.keys, [null]);
});

for (const [name, client, options] of [
  ["client", (scripted: Scripted) => scripted.client(1_000), {}],
  ["call", (scripted: Scripted) => scripted.client(), { timeoutMs: 1_000 }],
] as const) {
  test(`attempts end with the deadline of the ${name}`, async () => {
    const scripted = new Scripted();
    scripted.failures.push(...Array.from({ length: 100 }, () => Code.Unavailable));
    await assert.rejects(client(scripted).account.haltTrading({}, options), Unavailable);
    assert.deepEqual(scripted.clock.pauses, [100, 200, 400]); // 800 more would be too many
    assert.equal(new Set(scripted.keys).size, 1);
  });
}

test("a call that is cancelled between two attempts is not made again", async () => {
  const scripted = new Scripted();
  scripted.failures.push(Code.Unavailable, Code.Unavailable);
  const stopper = new AbortController();
  scripted.clock.holdPauses();
  const call = scripted.client().account.haltTrading({}, { signal: stopper.signal });
  while (scripted.clock.pauses.length === 0) await new Promise((resolve) => setImmediate(resolve));
  stopper.abort();
  await assert.rejects(call, { name: "CallCanceled" });
  assert.equal(scripted.keys.length, 1);
});
