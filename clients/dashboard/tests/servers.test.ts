import { expect, test } from "vitest";

import { FORGET_AFTER, withAnswer } from "../src/model/servers";
import type { Health } from "../src/model/types";

function health(time: number, uptimeSeconds: number): Health {
  const rest = { status: "healthy", version: "1", modelLoaded: true, databaseConnected: true, signals: 0, warnings: [], symbols: [], symbolCount: 3, staleSymbols: 0, tradingHalted: false, tradingHaltReason: "" };
  return { ...rest, time, uptimeSeconds };
}

test("servers are told apart by when they started, and forgotten when they no longer answer", () => {
  const hour = 3_600_000;
  let servers = withAnswer([], health(hour, 100));
  servers = withAnswer(servers, health(hour + 5_000, 105.01));
  expect(servers).toHaveLength(1);
  servers = withAnswer(servers, health(hour + 6_000, 3));
  expect(servers.map((server) => server.started)).toEqual([hour - 100_010, hour + 3_000]);
  servers = withAnswer(servers, health(hour + 6_000 + FORGET_AFTER, 3 + FORGET_AFTER / 1000));
  expect(servers).toHaveLength(1);
});
