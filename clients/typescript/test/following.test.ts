import assert from "node:assert/strict";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";

import {
  EpochChanged,
  EventsPruned,
  InvalidRequest,
  TradingSignalsError,
  Unavailable,
  type FollowerState,
  type Notice,
} from "../src/index.js";
import { entries, events, failure, heartbeat, range, ScriptedService, take } from "./support.js";

const BROKEN = new ConnectError("connection reset", Code.Internal);
const DRAINING = failure(Code.Unavailable, "SHUTTING_DOWN", { sequence: "3" });

test("follower resumes after the last sequence it received", async () => {
  const service = new ScriptedService({ responses: [entries(1, 3)], end: BROKEN }, { responses: [entries(4, 6)] });
  const follower = service.client().follow({}, { resumeAfter: 0 });
  assert.deepEqual(await take(follower, 6), range(1, 6));
  assert.deepEqual(service.requests.map((request) => request.resumeAfter), [0n, 3n]);
  assert.equal(follower.sequence, 6n);
  assert.equal(follower.epoch, "one");
});

test("follower without a place begins at the newest sequence, also if its first stream breaks before a response", async () => {
  const service = new ScriptedService({ refusal: BROKEN }, { responses: [entries(42, 43)] });
  service.newest = { throughSequence: 41n, epoch: "one" };
  const follower = service.client().follow();
  assert.deepEqual(await take(follower, 2), [42, 43]);
  assert.deepEqual(service.requests.map((request) => request.resumeAfter), [41n, 41n]);
});

test("follower reads its place from text, as storage of browsers has it", async () => {
  const service = new ScriptedService({ responses: [entries(9_007_199, 9_007_200)] });
  await take(service.client().follow({}, { resumeAfter: "9007198", epoch: "one" }), 1);
  assert.equal(service.requests[0]?.resumeAfter, 9_007_198n);
});

test("each request has the filter and the heartbeat interval", async () => {
  const service = new ScriptedService({ end: BROKEN }, { responses: [entries(1, 1)] });
  const filter = { symbols: ["USDCOP"], kinds: [1], minConfidence: 0.7 };
  await take(service.client().follow(filter, { resumeAfter: 0, heartbeatSeconds: 7 }), 1);
  assert.equal(service.requests.length, 2);
  for (const { symbols, kinds, minConfidence, heartbeatSeconds } of service.requests) {
    assert.deepEqual({ symbols, kinds, minConfidence, heartbeatSeconds }, { ...filter, heartbeatSeconds: 7 });
  }
});

test("heartbeats move the sequence", async () => {
  const service = new ScriptedService({ responses: [heartbeat(500)], end: BROKEN }, { responses: [entries(501, 501)] });
  const follower = service.client().follow({}, { resumeAfter: 0 });
  assert.deepEqual(await take(follower, 1), [501]);
  assert.equal(service.requests[1]?.resumeAfter, 500n);
});

test("an entry that is sent twice is handed out once", async () => {
  const twice = { events: events(2, 3, 3, 4), through: 4 };
  const service = new ScriptedService({ responses: [entries(1, 3), entries(1, 3), twice, entries(5, 5)] });
  assert.deepEqual(await take(service.client().follow({}, { resumeAfter: 0 }), 5), range(1, 5));
});

test("sequence is that of the item handed out last, and the rest of a response survives a broken stream", async () => {
  const service = new ScriptedService(
    { responses: [{ events: events(1, 2, 5), through: 9 }], end: BROKEN },
    { responses: [entries(10, 10)] },
  );
  const follower = service.client().follow({}, { resumeAfter: 0 });
  const places: (bigint | undefined)[] = [];
  for (let item = 0; item < 3; item++) {
    await follower.next();
    places.push(follower.sequence);
  }
  assert.deepEqual(places, [1n, 2n, 9n]);
  assert.deepEqual(await take(follower, 1), [10]);
  assert.equal(service.requests[1]?.resumeAfter, 9n);
});

test("a new log is thrown, with how far the old one was followed", async () => {
  const service = new ScriptedService({ responses: [entries(1, 3)], end: BROKEN }, { epoch: "two", responses: [entries(1, 9)] });
  const follower = service.client().follow({}, { resumeAfter: 0 });
  await take(follower, 3);
  await assert.rejects(follower.next(), (error) => {
    assert(error instanceof EpochChanged);
    assert.deepEqual([error.sequence, error.oldEpoch, error.epoch, error.retryable], [3n, "one", "two", false]);
    return true;
  });
  assert.equal(follower.state.status, "closed");
  assert.equal((await follower.next()).done, true);
});

test("a stored epoch that is another one is noticed at once", async () => {
  const service = new ScriptedService({ responses: [entries(1, 9)] });
  const follower = service.client().follow({}, { resumeAfter: 5, epoch: "older" });
  await assert.rejects(follower.next(), EpochChanged);
});

test("a sequence that the log does not have means a new log", async () => {
  const unknown = failure(Code.OutOfRange, "SEQUENCE_UNKNOWN", { epoch: "two", newest_sequence: "4" });
  const follower = new ScriptedService({ refusal: unknown }).client().follow({}, { resumeAfter: 700 });
  await assert.rejects(follower.next(), (error) => error instanceof EpochChanged && error.epoch === "two");
});

test("a follower told so starts over with a new log, and drops what was left of the old one", async () => {
  const unknown = failure(Code.OutOfRange, "SEQUENCE_UNKNOWN", { epoch: "two" });
  const service = new ScriptedService(
    { responses: [entries(1, 3)], end: BROKEN },
    { refusal: unknown },
    { epoch: "two", responses: [entries(1, 2)] },
  );
  const notices: Notice[] = [];
  const follower = service.client().follow({}, {
    resumeAfter: 0,
    onNewEpoch: "start over",
    onNotice: (notice) => notices.push(notice),
  });
  assert.deepEqual(await take(follower, 5), [1, 2, 3, 1, 2]);
  assert.deepEqual(notices.filter(({ kind }) => kind === "started over"), [
    { kind: "started over", oldEpoch: "one", epoch: "two", sequence: 3n },
  ]);
  assert.equal(follower.epoch, "two");
});

test("a log that keeps changing is not asked without a pause", async () => {
  const unknown = failure(Code.OutOfRange, "SEQUENCE_UNKNOWN", { epoch: "two" });
  const refused = Array.from({ length: 3 }, () => ({ refusal: unknown }));
  const service = new ScriptedService(...refused, { epoch: "two", responses: [entries(1, 1)] });
  await take(service.client().follow({}, { resumeAfter: 9, onNewEpoch: "start over" }), 1);
  assert.deepEqual(service.clock.pauses, [500, 1_000]);
});

test("pruned events are thrown, with the oldest that is kept", async () => {
  const pruned = failure(Code.OutOfRange, "SEQUENCE_PRUNED", { oldest_sequence: "101" });
  const follower = new ScriptedService({ refusal: pruned }).client().follow({}, { resumeAfter: 10 });
  await assert.rejects(follower.next(), (error) => {
    assert(error instanceof EventsPruned);
    assert.deepEqual([error.sequence, error.oldestSequence], [10n, 101n]);
    return true;
  });
});

test("a follower told so skips pruned events, and reports it", async () => {
  const pruned = failure(Code.OutOfRange, "SEQUENCE_PRUNED", { oldest_sequence: "101" });
  const service = new ScriptedService({ refusal: pruned }, { responses: [entries(101, 102)] });
  const notices: Notice[] = [];
  const follower = service.client().follow({}, {
    resumeAfter: 10,
    onPruned: "skip",
    onNotice: (notice) => notices.push(notice),
  });
  assert.deepEqual(await take(follower, 2), [101, 102]);
  assert.deepEqual(notices[0], { kind: "skipped", sequence: 10n, oldestSequence: 101n });
  assert.equal(service.requests[1]?.resumeAfter, 100n);
});

test("a silent stream is given up after three heartbeats, for a connection of its own", async () => {
  const service = new ScriptedService({ responses: [entries(1, 1)] }, { responses: [entries(2, 2)] });
  const follower = service.client().follow({}, { resumeAfter: 0 });
  await take(follower, 1);
  const [next] = [follower.next(), await settled(service, 1)];
  service.clock.silence();
  assert.equal((await next).value?.sequence, 2n);
  assert.equal(service.connections, 2);
  assert.deepEqual(service.canceled, [1]);
  assert.equal(service.clock.now() - sum(service.clock.pauses), 45_000);
});

/** Wait until the service has nothing more to send on the stream of a number. */
async function settled(service: ScriptedService, stream: number): Promise<void> {
  while (service.requests.length < stream) await new Promise(setImmediate);
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

test("pauses double up to the longest, with a random part, and are short again after a response", async () => {
  const refused = Array.from({ length: 7 }, () => ({ refusal: BROKEN }));
  const service = new ScriptedService(...refused, { responses: [entries(1, 1)], end: BROKEN }, { responses: [entries(2, 2)] });
  const follower = service.client().follow({}, { resumeAfter: 0 });
  await take(follower, 1);
  service.clock.chance = 0;
  await take(follower, 1);
  assert.deepEqual(service.clock.pauses, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 125]);
});

test("a follower told so gives up after a time without the service", async () => {
  const refused = Array.from({ length: 9 }, () => ({ refusal: BROKEN }));
  const service = new ScriptedService(...refused);
  const follower = service.client().follow({}, { resumeAfter: 0, backoff: { giveUpMs: 2_000 } });
  await assert.rejects(follower.next(), Unavailable);
  assert.deepEqual(service.clock.pauses, [250, 500, 1_000]);
});

for (const [name, end] of [
  ["a server that stops", DRAINING],
  ["an overloaded server", failure(Code.ResourceExhausted, "OVERLOADED")],
  ["a follower that was too slow", failure(Code.ResourceExhausted, "FOLLOWER_STALLED")],
  ["a database that is away", failure(Code.Unavailable, "STORAGE_UNAVAILABLE")],
  ["an end by deadline", new ConnectError("deadline", Code.DeadlineExceeded)],
  ["an end without an error", "ok" as const],
  ["a connection that breaks", new ConnectError("reset", Code.Aborted)],
  ["a proxy that fails", new ConnectError("502", Code.Unknown)],
  ["a process that was killed", new ConnectError("RST_STREAM", Code.Canceled)],
  ["a response that is cut", new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument)],
] as const) {
  test(`${name} is waited for, and nothing is lost`, async () => {
    const service = new ScriptedService({ responses: [entries(1, 2)], end }, { responses: [entries(3, 4)] });
    assert.deepEqual(await take(service.client().follow({}, { resumeAfter: 0 }), 4), range(1, 4));
    assert.equal(service.clock.pauses.length, 1);
  });
}

for (const refusal of [
  failure(Code.InvalidArgument, "INVALID_FIELD"),
  failure(Code.PermissionDenied, "FORBIDDEN"),
  failure(Code.Internal, "INTERNAL_ERROR"),
  new ConnectError("unknown method", Code.Unimplemented),
]) {
  test(`${Code[refusal.code]} is thrown without another attempt`, async () => {
    const service = new ScriptedService({ refusal });
    const follower = service.client().follow({}, { resumeAfter: 0 });
    await assert.rejects(follower.next(), (error) => error instanceof TradingSignalsError && !error.retryable);
    assert.equal(service.requests.length, 1);
    assert.equal(follower.state.status, "closed");
    assert.equal(follower.state.reason?.code, refusal.code);
  });
}

test("states say whether it is live, since when not, why, and when it is tried again", async () => {
  const service = new ScriptedService(
    { responses: [entries(1, 1)], end: DRAINING },
    { refusal: BROKEN },
    { responses: [entries(2, 2)] },
  );
  const states: FollowerState[] = [];
  const follower = service.client().follow({}, { resumeAfter: 0, onState: (state) => states.push(state) });
  assert.equal(follower.state.status, "connecting");
  await take(follower, 2);
  follower.close();
  const seen = states.map(({ status, since, reason, attempt, retryAt }) => [
    status,
    since.getTime(),
    reason?.reason ?? reason?.message,
    attempt,
    retryAt?.getTime(),
  ]);
  assert.deepEqual(seen, [
    ["connecting", 0, undefined, 0, undefined],
    ["live", 0, undefined, 0, undefined],
    ["waiting", 0, "SHUTTING_DOWN", 1, 250],
    ["connecting", 0, "SHUTTING_DOWN", 1, undefined],
    ["waiting", 0, "", 2, 750],
    ["connecting", 0, "", 2, undefined],
    ["live", 750, undefined, 0, undefined],
    ["closed", 750, undefined, 0, undefined],
  ]);
  assert.deepEqual(follower.state, states.at(-1));
  assert.equal(follower.lastResponseAt?.getTime(), 750);
});

test("an AbortSignal ends the iteration and the stream", async () => {
  const service = new ScriptedService({ responses: [entries(1, 1)] });
  const controller = new AbortController();
  const follower = service.client().follow({}, { resumeAfter: 0, signal: controller.signal });
  await take(follower, 1);
  const next = follower.next();
  await settled(service, 1);
  controller.abort();
  assert.equal((await next).done, true);
  assert.equal(follower.state.status, "closed");
  await settled(service, 1);
  assert.deepEqual(service.canceled, [1]);
});

test("a signal that is aborted already opens no stream", async () => {
  const service = new ScriptedService();
  const follower = service.client().follow({}, { signal: AbortSignal.abort() });
  assert.equal((await follower.next()).done, true);
  assert.equal(service.requests.length, 0);
});

test("an abort ends a pause", async () => {
  const service = new ScriptedService({ refusal: BROKEN });
  service.clock.holdPauses();
  const controller = new AbortController();
  const follower = service.client().follow({}, { resumeAfter: 0, signal: controller.signal });
  const next = follower.next();
  while (service.clock.pauses.length === 0) await new Promise(setImmediate);
  controller.abort();
  assert.equal((await next).done, true);
});

test("leaving the loop ends the stream", async () => {
  const service = new ScriptedService({ responses: [entries(1, 9)] });
  const follower = service.client().follow({}, { resumeAfter: 0 });
  for await (const item of follower) if (item.sequence === 4n) break;
  assert.equal(follower.sequence, 4n);
  assert.equal(follower.state.status, "closed");
  await settled(service, 1);
  assert.deepEqual(service.canceled, [1]);
});

test("closing the client closes its followers", async () => {
  const service = new ScriptedService();
  const client = service.client();
  const follower = client.follow({}, { resumeAfter: 0 });
  const next = follower.next();
  await follower.ready();
  client.close();
  assert.equal((await next).done, true);
  await assert.rejects(client.system.getServiceInfo({}), { name: "CallCanceled" });
});

test("reconnect drops the stream at once, and resumes after the last sequence", async () => {
  const service = new ScriptedService({ responses: [entries(1, 2)] }, { responses: [entries(3, 3)] });
  service.clock.holdPauses();
  const follower = service.client().follow({}, { resumeAfter: 0 });
  await take(follower, 2);
  const next = follower.next();
  await settled(service, 1);
  follower.reconnect();
  assert.equal((await next).value?.sequence, 3n);
  assert.equal(service.connections, 2);
});

test("reconnect ends a pause", async () => {
  const service = new ScriptedService({ refusal: BROKEN }, { responses: [entries(1, 1)] });
  service.clock.holdPauses();
  const follower = service.client().follow({}, { resumeAfter: 0 });
  const next = follower.next();
  while (service.clock.pauses.length === 0) await new Promise(setImmediate);
  follower.reconnect();
  assert.equal((await next).value?.sequence, 1n);
});

test("an error of a callback ends the iteration with it", async () => {
  const service = new ScriptedService({ responses: [entries(1, 1)] });
  const follower = service.client().follow({}, {
    resumeAfter: 0,
    onNotice: () => {
      throw new Error("of the page");
    },
  });
  await assert.rejects(follower.next(), /of the page/);
  assert.equal(follower.state.status, "closed");
});

test("a loop that does not read holds one response, and takes no more of the service", async () => {
  function* endless() {
    for (let first = 1; ; first += 10) yield entries(first, first + 9);
  }
  const service = new ScriptedService({ responses: endless() });
  const follower = service.client().follow({}, { resumeAfter: 0 });
  await take(follower, 5);
  await settled(service, 1);
  assert(service.sent <= 3, `${service.sent} responses were read`);
  assert.deepEqual(await take(follower, 45), range(6, 50));
  follower.close();
});

test("several callers of next get the items in order, each once", async () => {
  const service = new ScriptedService({ responses: [entries(1, 2)], end: BROKEN }, { responses: [entries(3, 4)] });
  const follower = service.client().follow({}, { resumeAfter: 0 });
  const results = await Promise.all([follower.next(), follower.next(), follower.next(), follower.next()]);
  assert.deepEqual(results.map((result) => Number(result.value?.sequence)), range(1, 4));
});

test("a service without an epoch is followed all the same", async () => {
  const service = new ScriptedService({ epoch: undefined, responses: [entries(1, 2)] });
  const follower = service.client().follow({}, { resumeAfter: 0 });
  assert.deepEqual(await take(follower, 2), [1, 2]);
  assert.equal(follower.state.status, "live");
});

test("options out of their bounds are refused at once", () => {
  const client = new ScriptedService().client();
  for (const heartbeatSeconds of [0, 61, 1.5, NaN]) {
    assert.throws(() => client.follow({}, { heartbeatSeconds }), (error) => {
      assert(error instanceof InvalidRequest);
      return error.violations[0]?.field === "heartbeat_seconds";
    });
  }
  assert.throws(() => client.follow({}, { backoff: { firstMs: 10, maxMs: 5 } }), RangeError);
  assert.throws(() => client.follow({}, { backoff: { giveUpMs: -1 } }), RangeError);
  assert.throws(() => client.follow({}, { onPruned: "ignore" as "skip" }), RangeError);
  assert.throws(() => client.follow({}, { onNewEpoch: "raise" as "throw" }), RangeError);
  assert.throws(() => client.follow({}, { resumeAfter: "yesterday" }), SyntaxError);
});

test("whatever breaks whenever, each entry is handed out once and in order", async () => {
  let seed = 13;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  const last = 2_000;
  const ends = [BROKEN, DRAINING, "ok" as const, new ConnectError("reset", Code.Aborted)];
  let through = 0;
  const script = [];
  while (through < last) {
    const responses = [];
    for (let part = random(5); part > 0 && through < last; part--) {
      const first = Math.max(1, through + 1 - random(4)); // a proxy repeats some entries
      through = Math.min(last, through + random(20));
      if (through >= first) responses.push(entries(first, through));
      if (random(3) === 0) responses.push(heartbeat(through));
    }
    const end = ends[random(ends.length)];
    script.push(random(6) === 0 ? { refusal: BROKEN } : { responses, ...(end && { end }) });
    if ("refusal" in script[script.length - 1]!) through = Number(resumedAfter(script));
  }
  const service = new ScriptedService(...script);
  assert.deepEqual(await take(service.client().follow({}, { resumeAfter: 0 }), last), range(1, last));
  assert(service.requests.length > 50);
});

/** How far the streams of a script have sent, those that are refused not counted. */
function resumedAfter(script: readonly object[]): number {
  const sent = script.flatMap((stream) => ("responses" in stream ? (stream.responses as { through: number }[]) : []));
  return Math.max(0, ...sent.map(({ through }) => through));
}
