import { expect, test } from "vitest";

import { RESPONSE_COUNTS_FOR, FORGET_AFTER, statusOf, withResponse } from "../src/model/servers";
import type { Health } from "../src/model/types";

function health(time: number, uptimeSeconds: number): Health {
  const rest = { status: "healthy", version: "1", modelLoaded: true, databaseConnected: true, signals: 0, warnings: [], symbols: [], symbolCount: 3, staleSymbols: 0, tradingHalted: false, tradingHaltReason: "" };
  return { ...rest, time, uptimeSeconds };
}

test("servers are distinguished by when they started, and forgotten when they no longer respond", () => {
  const hour = 3_600_000;
  let servers = withResponse([], health(hour, 100), 0);
  servers = withResponse(servers, health(hour + 5_000, 105.01), 0);
  expect(servers).toHaveLength(1);
  servers = withResponse(servers, health(hour + 6_000, 3), 0);
  expect(servers.map((server) => server.started)).toEqual([hour - 100_010, hour + 3_000]);
  servers = withResponse(servers, health(hour + 6_000 + FORGET_AFTER, 3 + FORGET_AFTER / 1000), 0);
  expect(servers).toHaveLength(1);
});

test("servers that started at almost the same moment are two", () => {
  const first = withResponse([], health(100_000, 10), 0);
  expect(withResponse(first, health(100_000, 8.7), 0)).toHaveLength(2);
  expect(withResponse(first, health(105_000, 14.9), 0)).toHaveLength(2);
});

test("a server is only called healthy while the page gets responses, and its own is recent", () => {
  const server = withResponse([], health(50, 1), 1_000)[0]!;
  expect(statusOf(server, true, 2_000)).toEqual({ text: "healthy", known: true });
  expect(statusOf(server, false, 2_000)).toEqual({ text: "unknown, was healthy", known: false });
  expect(statusOf(server, true, 1_001 + RESPONSE_COUNTS_FOR).known).toBe(false);
});
