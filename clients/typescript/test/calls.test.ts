import assert from "node:assert/strict";
import { test } from "node:test";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport, type ConnectRouter, type Transport } from "@connectrpc/connect";

import { BadRequestSchema, ErrorInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import * as contract from "../src/gen/v1.js";
import {
  AccessDenied,
  AlreadyExists,
  CallCanceled,
  createBareClientOver,
  createClientOver,
  DeadlineExceeded,
  EventService,
  FailedPrecondition,
  GetHealthResponseSchema,
  InternalError,
  InvalidRequest,
  NotFound,
  OutOfRange,
  Overloaded,
  SERVICES,
  SignalService,
  SystemService,
  TemporaryError,
  TooLarge,
  TradingSignalsError,
  Unavailable,
  type Client,
  type PublishBarsRequestSchema,
} from "../src/index.js";
import { failure } from "./support.js";

function clientOf(routes: (router: ConnectRouter) => void): Client {
  return over(createRouterTransport(routes));
}

function over(transport: Transport): Client {
  return createClientOver(() => ({ transport, close: () => undefined }));
}

/** A client whose every call fails with an error. */
function failing(error: ConnectError): Client {
  return clientOf(({ service }) => {
    const fail = () => {
      throw error;
    };
    service(SystemService, { getServiceInfo: fail, getHealth: fail });
  });
}

async function errorOf(call: Promise<unknown>): Promise<TradingSignalsError> {
  try {
    await call;
  } catch (error) {
    assert(error instanceof TradingSignalsError);
    return error;
  }
  assert.fail("it did not fail");
}

test("a client without services calls those that are named, with the same errors", async () => {
  const transport = createRouterTransport(({ service }) => {
    service(SystemService, {
      getServiceInfo: () => ({ version: "1" }),
      getHealth: () => {
        throw new ConnectError("away", Code.Unavailable);
      },
    });
  });
  const client = createBareClientOver(() => ({ transport, close: () => undefined }));
  assert.equal((await client.service(SystemService).getServiceInfo({})).version, "1");
  assert(!("signals" in client));
  assert((await errorOf(client.health())) instanceof Unavailable);
  client.close();
  assert((await errorOf(client.service(SystemService).getServiceInfo({}))) instanceof CallCanceled);
});

test("messages and services carry no HTTP routes", () => {
  const services = Object.values(SERVICES);
  const files = services.flatMap((service) => [service.file, ...service.file.dependencies]);
  assert.deepEqual(files.filter((file) => file.name.startsWith("google/api")), []);
});

test("every RPC of the contract is a method of the client", () => {
  const client = clientOf(() => undefined);
  const services = Object.values(contract).filter((one) => typeof one === "object" && "kind" in one && one.kind === "service");
  assert(services.length >= 8);
  for (const service of services as contractService[]) {
    const name = Object.entries(SERVICES).find(([, other]) => other.typeName === service.typeName)?.[0];
    assert(name !== undefined, `SERVICES lacks ${service.typeName}`);
    const methods = client[name as keyof typeof SERVICES] as unknown as Record<string, unknown>;
    for (const method of service.methods) assert.equal(typeof methods[method.localName], "function", method.localName);
  }
});

type contractService = (typeof SERVICES)[keyof typeof SERVICES];

for (const [code, kind, retryable] of [
  [Code.InvalidArgument, InvalidRequest, false],
  [Code.NotFound, NotFound, false],
  [Code.AlreadyExists, AlreadyExists, false],
  [Code.FailedPrecondition, FailedPrecondition, false],
  [Code.OutOfRange, OutOfRange, false],
  [Code.Unauthenticated, AccessDenied, false],
  [Code.PermissionDenied, AccessDenied, false],
  [Code.Internal, InternalError, false],
  [Code.Unimplemented, InternalError, false],
  [Code.Unavailable, Unavailable, true],
  [Code.ResourceExhausted, Overloaded, true],
  [Code.DeadlineExceeded, DeadlineExceeded, true],
] as const) {
  test(`${Code[code]} of the service is ${kind.name}, with its reason and metadata`, async () => {
    const error = await errorOf(failing(failure(code, "SOME_REASON", { symbol: "USDCOP" })).system.getServiceInfo({}));
    assert.equal(error.constructor, kind);
    assert.equal(error.name, kind.name);
    assert.equal(error instanceof TemporaryError, retryable);
    assert.deepEqual(
      [error.code, error.reason, error.message, { ...error.metadata }, error.retryable],
      [code, "SOME_REASON", "SOME_REASON happened", { symbol: "USDCOP" }, retryable],
    );
  });
}

for (const [what, code, kind] of [
  ["connection reset", Code.Internal, Unavailable],
  ["connection reset", Code.Aborted, Unavailable],
  ["Failed to fetch", Code.Unknown, Unavailable],
  ["stream reset", Code.Canceled, Unavailable],
  ["protocol error: incomplete envelope", Code.InvalidArgument, Unavailable],
  ["no healthy upstream", Code.Unavailable, Unavailable],
  ["http/2 stream closed with error code ENHANCE_YOUR_CALM (0xb)", Code.ResourceExhausted, Overloaded],
  ["message is larger than it may be", Code.ResourceExhausted, TooLarge],
  ["no such method", Code.Unimplemented, InternalError],
] as const) {
  test(`"${what}" (${Code[code]}) without a reason, from between client and service, is ${kind.name}`, async () => {
    const error = await errorOf(failing(new ConnectError(what, code)).system.getServiceInfo({}));
    assert.equal(error.constructor, kind);
    assert.deepEqual([error.reason, error.message], ["", what]);
  });
}

test("each field that was refused is named", async () => {
  const violations = [
    { field: "limit", description: "must be from 1 to 1000" },
    { field: "symbol", description: "is not a symbol" },
  ];
  const refused = new ConnectError("two fields", Code.InvalidArgument, undefined, [
    { desc: ErrorInfoSchema, value: { domain: "tradingsignals", reason: "INVALID_FIELD" } },
    { desc: BadRequestSchema, value: { fieldViolations: violations } },
  ]);
  assert.deepEqual((await errorOf(failing(refused).system.getServiceInfo({}))).violations, violations);
});

test("a call that its caller ends is canceled, whatever the transport says", async () => {
  const controller = new AbortController();
  const client = clientOf(({ service }) => {
    service(SystemService, {
      getServiceInfo: () => {
        controller.abort();
        return new Promise(() => undefined);
      },
    });
  });
  const error = await errorOf(client.system.getServiceInfo({}, { signal: controller.signal }));
  assert(error instanceof CallCanceled);
  assert.equal(error.retryable, false);
});

test("calls with one response have a deadline of ten seconds unless the caller sets another, streams have none", async () => {
  const seen: (number | undefined)[] = [];
  const transport = createRouterTransport(({ service }) => {
    service(SystemService, { getServiceInfo: () => ({}) });
    service(EventService, { streamEvents: async function* () {} });
  });
  const client = over({
    unary: (method, signal, timeoutMs, ...rest) => {
      seen.push(timeoutMs);
      return transport.unary(method, signal, timeoutMs, ...rest);
    },
    stream: (method, signal, timeoutMs, ...rest) => {
      seen.push(timeoutMs);
      return transport.stream(method, signal, timeoutMs, ...rest);
    },
  });
  await client.system.getServiceInfo({});
  await client.system.getServiceInfo({}, { timeoutMs: 50 });
  for await (const _ of client.events.streamEvents({}));
  assert.deepEqual(seen, [10_000, 50, 0]);
});

test("a late response is DeadlineExceeded", async () => {
  const client = clientOf(({ service }) => service(SystemService, { getServiceInfo: () => new Promise(() => undefined) }));
  assert((await errorOf(client.system.getServiceInfo({}, { timeoutMs: 1 }))) instanceof DeadlineExceeded);
});

test("leaving the loop over a stream ends the call", async () => {
  let ended: () => void = () => undefined;
  const end = new Promise<void>((resolve) => (ended = resolve));
  const client = clientOf(({ service }) => {
    service(EventService, {
      streamEvents: async function* (_, context) {
        context.signal.addEventListener("abort", () => ended());
        for (let sequence = 1n; ; sequence++) yield { throughSequence: sequence };
      },
    });
  });
  for await (const response of client.events.streamEvents({})) if (response.throughSequence === 3n) break;
  await end;
});

test("a stream that breaks throws a typed error after what came before", async () => {
  const client = clientOf(({ service }) => {
    service(EventService, {
      streamEvents: async function* () {
        yield { throughSequence: 1n };
        throw failure(Code.Unavailable, "SHUTTING_DOWN");
      },
    });
  });
  const seen: bigint[] = [];
  const reading = (async () => {
    for await (const response of client.events.streamEvents({})) seen.push(response.throughSequence);
  })();
  assert.equal((await errorOf(reading)).reason, "SHUTTING_DOWN");
  assert.deepEqual(seen, [1n]);
});

test("health is a response also if the service is unhealthy", async () => {
  const unhealthy = new ConnectError("unhealthy", Code.Unavailable, undefined, [
    { desc: GetHealthResponseSchema, value: { status: "unhealthy" } },
  ]);
  assert.equal((await failing(unhealthy).health()).status, "unhealthy");
  assert((await errorOf(failing(new ConnectError("gone", Code.Unavailable)).health())) instanceof Unavailable);
});

test("lists fetch pages as they are iterated, with the same filter, and name the point of the log of the first", async () => {
  const requests: [number | undefined, string, string][] = [];
  const client = clientOf(({ service }) => {
    service(SignalService, {
      listSignals: ({ limit, symbol, pageToken }) => {
        requests.push([limit, symbol, pageToken]);
        const page = Number(pageToken || "1");
        const signals = [{ sequence: BigInt(10 * page) }, { sequence: BigInt(10 * page + 1) }];
        return { signals, nextPageToken: page < 3 ? String(page + 1) : "", throughSequence: BigInt(100 + page) };
      },
    });
  });
  const list = client.listSignals({ symbol: "USDCOP", limit: 2 });
  assert.equal(list.throughSequence, undefined);
  for await (const signal of list) if (signal.sequence === 20n) break;
  assert.deepEqual(requests, [
    [2, "USDCOP", ""],
    [2, "USDCOP", "2"],
  ]);
  assert.equal(list.throughSequence, 101n);
  assert.deepEqual((await list.toArray()).map(({ sequence }) => Number(sequence)), [10, 11, 20, 21, 30, 31]);
  const tokens = [];
  for await (const page of list.pages()) tokens.push(page.nextPageToken);
  assert.deepEqual(tokens, ["2", "3", ""]);
});

test("bars are published 500 in a call, and refused ones stand under their index among all", async () => {
  const sizes: number[] = [];
  const kinds = new Set<string>();
  const transport = createRouterTransport(() => undefined);
  const client = over({
    ...transport,
    async unary(method, signal, timeoutMs, header, input) {
      kinds.add(`${method.methodKind} ${method.name} ${timeoutMs}`);
      const { bars = [] } = input as MessageInitShape<typeof PublishBarsRequestSchema>;
      sizes.push(bars.length);
      const rejections = [{ index: 1, reason: "INVALID_BAR" }];
      const response = { received: bars.length, accepted: bars.length - 1, rejected: 1, rejections };
      const fields: object = { ...response, throughSequence: BigInt(sizes.length) };
      const message = create(method.output, fields as MessageInitShape<typeof method.output>);
      const headers = { header: new Headers(header), trailer: new Headers() };
      return { stream: false, service: method.parent, method, message, ...headers, ...(signal && { signal }) };
    },
  });
  const bars = Array.from({ length: 1_200 }, () => ({ symbol: "USDCOP" }));
  const result = await client.publishBars(bars);
  assert.deepEqual(sizes, [500, 500, 200]);
  assert.deepEqual([...kinds], ["unary PublishBars 0"]); // the same on the wire as a stream of one message
  assert.deepEqual([result.received, result.accepted, result.rejected, result.throughSequence], [1_200, 1_197, 3, 3n]);
  assert.deepEqual(result.rejections.map(({ index }) => index), [1, 501, 1_001]);
  assert.equal((await client.publishBars([])).received, 0);
});
