import { describe, expect, test } from "vitest";

import { afterConnectionEvent, connecting, GAP_FOR, isKnownNow, READ_FOR, STALE_AFTER, stripText, type Connection, type ConnectionEvent } from "../src/model/connection";

function after(...events: ConnectionEvent[]): Connection {
  return events.reduce(afterConnectionEvent, connecting(0));
}

/** Ticks each second from `from` to `to`. */
function ticks(from: number, to: number): ConnectionEvent[] {
  return Array.from({ length: Math.floor((to - from) / 1000) + 1 }, (_, index) => ({ type: "tick", now: from + index * 1000 }));
}

const live: ConnectionEvent = { type: "response", now: 1000, through: 10 };

describe("the connection", () => {
  test("is live from the first response, not from the opened stream", () => {
    expect(after({ type: "opened", now: 500 }).phase).toBe("connecting");
    expect(after({ type: "opened", now: 500 }, live).phase).toBe("live");
  });

  test("stays live while heartbeats come, and is stale when they do not", () => {
    expect(after(live, ...ticks(1000, 1000 + STALE_AFTER)).phase).toBe("live");
    const stale = after(live, ...ticks(1000, 2000 + STALE_AFTER));
    expect(stale.phase).toBe("stale");
    expect(stale.since).toBe(1000);
  });

  test("is stale at the first tick after a sleep, until a response comes", () => {
    const asleep = after(live, { type: "tick", now: 1500 }, { type: "tick", now: 3_600_000 });
    expect(asleep).toMatchObject({ phase: "stale", since: 1000 });
    expect(afterConnectionEvent(asleep, { type: "response", now: 3_601_000, through: 10 }).phase).toBe("live");
  });

  test("is stale after a sleep even if what came before it is read only now, but not where timers run late", () => {
    const read: ConnectionEvent = { type: "response", now: 60_000, through: 10 };
    expect(after(live, { type: "tick", now: 1500 }, read, { type: "tick", now: 60_001 }).phase).toBe("stale");
    expect(after(live, { type: "tick", now: 1500 }, read, { type: "tick", now: 60_001, hidden: true }).phase).toBe("live");
  });

  test("counts what came during a sleep from before it, also what is read before the first tick", () => {
    const read: ConnectionEvent = { type: "response", now: 60_000, through: 300 };
    const back = after(live, { type: "tick", now: 1500 }, read, { type: "tick", now: 60_001 }, { type: "response", now: 61_000, through: 310 });
    expect(back.report?.text).toBe("Caught up after 60 s: 300 entries, none missing");
  });

  test("is stale when the clock is set back, and live again by the next response", () => {
    const first: ConnectionEvent = { type: "tick", now: 3_599_000 };
    const back = after(first, { ...live, now: 3_600_000 }, { type: "tick", now: 3_601_000 }, { type: "tick", now: 2_000 });
    expect(back).toMatchObject({ phase: "stale", since: 2_000, lastResponse: 2_000, error: "The clock of this device was set back" });
    const again = afterConnectionEvent(back, { type: "response", now: 2_500, through: 12 });
    expect(again.phase).toBe("live");
    expect(afterConnectionEvent(again, { type: "tick", now: 2_500 + 2 * GAP_FOR }).report).toBeUndefined();
  });

  test("goes on after a break when the clock is set back meanwhile", () => {
    const lost: ConnectionEvent = { type: "lost", now: 3_600_000, error: "gone", online: true };
    const back = after({ ...live, now: 3_599_000 }, lost, { type: "tick", now: 3_600_500 }, { type: "tick", now: 2_000 });
    expect(afterConnectionEvent(back, { type: "response", now: 2_500, through: 12 }).phase).toBe("live");
  });

  test("does not count what was read at a time that is to come as known now", () => {
    const known = after(live);
    expect(isKnownNow(known, 3_600_000, 2_000)).toBe(false);
    expect(isKnownNow(known, 1_900, 2_000)).toBe(true);
  });

  test("is stale before the browser freezes the page", () => {
    expect(after(live, { type: "frozen", now: 1200 }).phase).toBe("stale");
  });

  test("says since when it reconnects, and keeps the time over further failures", () => {
    const lost: ConnectionEvent = { type: "lost", now: 3000, error: "gone", online: true };
    const twice = after(live, lost, { ...lost, now: 4000, error: "still gone" });
    expect(twice).toMatchObject({ phase: "reconnecting", since: 3000, error: "still gone" });
  });

  test("is not live again by a response from before the stream broke that is noted after it", () => {
    const late: ConnectionEvent = { type: "response", now: 2900, through: 10 };
    expect(after(live, { type: "lost", now: 3000, error: "gone", online: true }, late).phase).toBe("reconnecting");
    expect(after(live, { type: "denied", now: 3000, error: "revoked" }, late).phase).toBe("denied");
    expect(after(live, { type: "lost", now: 3000, error: "gone", online: true }, { ...late, now: 3100 }).phase).toBe("live");
  });

  test("is offline only when the stream is lost", () => {
    const offline: ConnectionEvent = { type: "network", now: 2000, online: false };
    expect(after(live, offline).phase).toBe("live");
    expect(after(live, { type: "lost", now: 2500, error: "gone", online: true }, offline).phase).toBe("offline");
    expect(after(live, { type: "lost", now: 2500, error: "gone", online: false }, { ...offline, online: true }).phase).toBe("reconnecting");
  });

  test("reports how many entries a break has delayed", () => {
    const back = after(live, { type: "lost", now: 3000, error: "gone", online: true }, { type: "response", now: 9000, through: 224 });
    expect(back.report?.text).toBe("Caught up after 8 s: 214 entries, none missing");
    expect(back.broken).toBeUndefined();
  });

  test("never calls a gap complete", () => {
    const gap = after(live, { type: "skipped", now: 3000, from: 10, oldest: 41 }, { type: "response", now: 3500, through: 50 });
    expect(gap.report).toMatchObject({ gap: true });
    expect(gap.report?.text).toMatch(/11 to 40 are no longer kept/);
  });
});

describe("a key that is not accepted", () => {
  const denied: ConnectionEvent = { type: "denied", now: 3000, error: "the API key is revoked" };

  test("stays until another one is, and the break is reported then", () => {
    const waiting = after(live, denied, ...ticks(3000, 60_000), { type: "network", now: 60_000, online: false });
    expect(waiting).toMatchObject({ phase: "denied", since: 3000, error: "the API key is revoked" });
    const admitted = afterConnectionEvent(waiting, { type: "admitted", now: 61_000 });
    expect(admitted).toMatchObject({ phase: "reconnecting", error: "" });
    const back = afterConnectionEvent(admitted, { type: "response", now: 61_500, through: 15 });
    expect(back.report?.text).toContain("5 entries, none missing");
  });

  test("at first is no break", () => {
    const admitted = after(denied, { type: "admitted", now: 4000 });
    expect([admitted.phase, admitted.broken]).toEqual(["connecting", undefined]);
  });
});

describe("the strip", () => {
  const at = (ms: number): string => `${ms / 1000} s`;

  test("says since when there is no data, and no inner doings of the page", () => {
    const silent = after(live, ...ticks(1000, 2000 + STALE_AFTER));
    expect(stripText(silent, at)?.text).toBe("No data since 1 s: the service is silent. Everything below may be old.");
    const lost = afterConnectionEvent(silent, { type: "lost", now: 11_000, error: "The service is silent", online: true });
    expect(stripText(lost, at)?.text).toBe("No data since 1 s, everything below is as of then. Reconnecting since 11 s: the service is silent.");
  });

  test("says so where nothing has come yet", () => {
    const never = after({ type: "lost", now: 2000, error: "The service does not respond", online: true });
    expect(stripText(never, at)?.text).toBe("Reconnecting since 2 s: the service does not respond.");
  });
});

test("what is read is known while the page is live and it was read lately", () => {
  const connection = after(live);
  expect(isKnownNow(connection, 1000, 1000 + READ_FOR)).toBe(true);
  expect(isKnownNow(connection, 1000, 1001 + READ_FOR)).toBe(false);
  expect(isKnownNow(connection, undefined, 2000)).toBe(false);
  expect(isKnownNow(after(live, { type: "lost", now: 1500, error: "", online: true }), 1600, 1700)).toBe(false);
});
