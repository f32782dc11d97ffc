import { expect, test, vi } from "vitest";

import { ChartReader } from "../src/data/chart-reader";
import type { Gateway } from "../src/data/gateway";
import { Store } from "../src/data/store";
import { CHART_BARS } from "../src/model/bars";
import type { Action, Bar, Position, Signal } from "../src/model/types";
import { bar, FIVE, position, signal, T0 } from "./values";

vi.stubGlobal("requestAnimationFrame", () => 0);

/** A service with a number of bars, with a BUY on each even and a SELL on each odd one, and a position closed on each. */
function service(count: number): { gateway: Gateway; pages: () => number } {
  let pages = 0;
  const paged = <T>(items: readonly T[], limit: number, token: string): { page: readonly T[]; nextToken: string } => {
    const from = Number(token || 0);
    pages += 1;
    return { page: items.slice(from, from + limit), nextToken: from + limit < items.length ? String(from + limit) : "" };
  };
  const newest = <T>(make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(count - 1 - index));
  const bars = newest((index): Bar => bar(index));
  const signals = newest((index): Signal => signal(index, { action: index % 2 ? "SELL" : "BUY", barTime: T0 + index * FIVE, time: T0 + index * FIVE }));
  const closed = newest((index): Position => position(index, { id: `p${index}`, open: false, exitTime: T0 + index * FIVE + 1 }));
  const gateway = {
    bars: async (_: string, limit: number, before = Infinity) => {
      const { page, nextToken } = paged(bars.filter(({ time }) => time < before), limit, "");
      return { bars: [...page].reverse(), older: nextToken !== "" };
    },
    signals: async ({ action }: { action: Action | "" }, limit: number, token = "", { from = 0, to = Infinity } = {}) => {
      const { page, nextToken } = paged(signals.filter((each) => (!action || each.action === action) && each.time >= from && each.time < to), Math.min(limit, 100), token);
      return { signals: page, nextToken, through: count };
    },
    closedPositions: async (_: string, limit: number, token: string) => {
      const { page, nextToken } = paged(closed, Math.min(limit, 100), token);
      return { positions: page, nextToken };
    },
  };
  return { gateway: gateway as unknown as Gateway, pages: () => pages };
}

async function scrolledBack(count: number, until: (store: Store) => boolean): Promise<Store> {
  const store = new Store(T0);
  const reader = new ChartReader(store, service(count).gateway, () => undefined);
  store.dispatch({ type: "select", symbol: "USDCOP" });
  await reader.readSymbol("USDCOP");
  while (!until(store)) {
    const before = store.state.chart.bars.length;
    reader.loadOlder();
    await vi.waitUntil(() => store.state.chart.bars.length > before && store.state.chart.marks.length >= store.state.chart.bars.length && store.state.chart.closed.length >= store.state.chart.bars.length, { timeout: 20_000 });
  }
  return store;
}

test("every bar that is loaded has its marks, however far one scrolls back", { timeout: 60_000 }, async () => {
  const { chart } = (await scrolledBack(2_600, (store) => !store.state.chart.older)).state;
  const expected = Array.from({ length: 2_600 }, (_, index) => index);
  expect(chart.bars.map(({ time }) => (time - T0) / FIVE)).toEqual(expected);
  expect(chart.marks.map(({ sequence }) => sequence)).toEqual(expected);
  expect(chart.closed.map(({ sequence }) => sequence)).toEqual(expected);
});

test("a full chart asks for no further bars", async () => {
  const { gateway, pages } = service(CHART_BARS + 500);
  const store = new Store(T0);
  const reader = new ChartReader(store, gateway, () => undefined);
  store.dispatch({ type: "select", symbol: "USDCOP" });
  store.dispatch({ type: "bars", symbol: "USDCOP", bars: Array.from({ length: CHART_BARS }, (_, index) => bar(500 + index)), older: true });
  reader.loadOlder();
  expect([pages(), store.state.chart.loading, store.state.chart.older]).toEqual([0, false, true]);
});
