import { describe, expect, test } from "vitest";

import { CHART_BARS, merged, sessions } from "../src/model/bars";
import { weighed } from "../src/model/chart";
import { ALL, LIVE_ROWS } from "../src/model/rows";
import { initialState, isRead, isUnknownSymbol, reduce, symbolToShow, type State, type StateAction } from "../src/model/state";
import { lastPrice, MAX_SYMBOLS, newestAction, ordered } from "../src/model/symbols";
import type { ListedSymbol, Loadable, LogEntry, ServiceInfo, TradingControl } from "../src/model/types";
import { account, bar, barEntry, FIVE, position, positionEntry, signal, signalEntry, T0 } from "./values";

function after(...actions: StateAction[]): State {
  return actions.reduce(reduce, initialState(T0));
}

function entries(...log: LogEntry[]): StateAction {
  return { type: "entries", entries: log, now: T0 + 5 };
}

const select: StateAction = { type: "select", symbol: "USDCOP" };

describe("entries of the log", () => {
  test("are applied once, in whatever pieces they come", () => {
    const log = [barEntry(1, bar(0)), signalEntry(signal(2)), positionEntry(position(3)), barEntry(4, bar(1)), signalEntry(signal(5))];
    const once = after(select, entries(...log));
    const again = after(select, entries(...log.slice(0, 3)), entries(...log), entries(...log.slice(2)));
    expect(again.symbols).toEqual(once.symbols);
    expect(again.chart.bars).toEqual(once.chart.bars);
    expect(again.list.rows).toEqual(once.list.rows);
    expect(again.applied).toBe(5);
  });

  test("of kinds that the page does not show move the sequence", () => {
    expect(after(entries({ kind: "OTHER", sequence: 7, committed: T0 })).applied).toBe(7);
  });

  test("show how late the stream is by the clock of the service, unless they are older than the page", () => {
    for (const offset of [0, 600_000, -600_000]) {
      const clock: StateAction = { type: "clock", sent: T0, read: T0 + offset, received: T0 };
      const late = (committed: number): StateAction => ({ type: "entries", entries: [{ kind: "OTHER", sequence: 1, committed }], now: T0 + 5 });
      expect(after(clock, late(T0 + offset + 1)).streamLag).toBe(4);
      expect(after(clock, late(T0 + offset - 1)).streamLag).toBeUndefined();
      expect(after(late(T0 + 1)).streamLag).toBeUndefined();
    }
  });

  test("halt and resume trading", () => {
    const control = (sequence: number, halted: boolean): LogEntry => ({ kind: "CONTROL", sequence, committed: T0, control: { halted, reason: "news", by: "me", at: T0 } });
    expect(after(entries(control(1, true))).control).toMatchObject({ halted: true, reason: "news" });
    expect(after(entries(control(1, true), control(2, false))).control).toMatchObject({ halted: false });
  });

  test("say whether trading is halted, and so does an account that is not older", () => {
    const control = (halted: boolean): TradingControl => ({ halted, reason: "", by: "", at: T0 });
    const read = (halted: boolean, through: number): StateAction => ({ type: "account", account: { state: "ready", value: account({ control: control(halted), through }), at: T0 } });
    const halt: LogEntry = { kind: "CONTROL", sequence: 5, committed: T0, control: control(true) };
    expect(after(read(true, 3)).control?.halted).toBe(true);
    expect(after(entries(halt), read(false, 4)).control?.halted).toBe(true);
    expect(after(entries(halt), read(false, 6)).control?.halted).toBe(false);
  });

  test("keep the lists bounded", { timeout: 60_000 }, () => {
    let state = after(select);
    for (let at = 1; at <= 24_000; at += 100) {
      const log = Array.from({ length: 50 }, (_, index) => at + 2 * index).flatMap((sequence) => [
        barEntry(sequence, bar(sequence), "OUTSIDE_SESSION"),
        signalEntry(signal(sequence + 1, { time: bar(sequence).time + FIVE })),
      ]);
      state = reduce(state, entries(...log));
    }
    expect(state.list.rows.length).toBeLessThanOrEqual(LIVE_ROWS);
    expect(state.chart.bars.length).toBeLessThanOrEqual(CHART_BARS);
    expect(state.chart.marks.length).toBeLessThanOrEqual(CHART_BARS);
    expect(state.chart.outside.size).toBeLessThanOrEqual(CHART_BARS);
    expect(state.symbols.get("USDCOP")!.closes.length).toBeLessThanOrEqual(48);
    const many = Array.from({ length: MAX_SYMBOLS + 50 }, (_, at) => barEntry(30_000 + at, bar(at, { symbol: `S${at}` })));
    expect(reduce(state, entries(...many)).symbols.size).toBeLessThanOrEqual(MAX_SYMBOLS);
  });
});

describe("positions", () => {
  const listed: StateAction = { type: "positions", positions: [position(10)], through: 12 };
  const held = (state: State) => state.symbols.get("USDCOP")?.position;

  test("of a list do not bring back what the stream has closed since", () => {
    expect(held(after(entries(positionEntry(position(14, { open: false }))), listed))).toBeUndefined();
  });

  test("that a list no longer has are gone, unless the stream opened them after it", () => {
    const empty: StateAction = { type: "positions", positions: [], through: 12 };
    expect(held(after(entries(positionEntry(position(11))), empty))).toBeUndefined();
    expect(held(after(entries(positionEntry(position(13))), empty))).toBeDefined();
  });

  test("are replaced by a reversal, whose closing half comes first", () => {
    const reversed = after(listed, entries(positionEntry(position(15, { open: false })), positionEntry(position(16, { id: "p2", action: "SELL" }))));
    expect(held(reversed)).toMatchObject({ id: "p2", action: "SELL" });
  });

  test("of a symbol beyond the limit are shown all the same", () => {
    const many = Array.from({ length: MAX_SYMBOLS }, (_, at) => barEntry(at + 1, bar(0, { symbol: `S${at}` })));
    const state = after(entries(...many, positionEntry(position(MAX_SYMBOLS + 1))));
    expect(held(state)).toBeDefined();
  });
});

describe("the list of symbols", () => {
  const listed = (symbol: string, more: Partial<ListedSymbol> = {}): ListedSymbol => ({
    symbol, interval: "5m", lastBarTime: bar(3).time, lastClose: 103, closes: [101, 102, 103], action: "HOLD", signalSequence: 40, ...more,
  });
  const list = (...symbols: ListedSymbol[]): StateAction => ({ type: "symbols", symbols, last: true });
  const euro = (state: State) => state.symbols.get("EURUSD")!;
  const euroBar = (at: number) => bar(at, { symbol: "EURUSD", close: 100 + at });

  test("has each symbol of each page, and those that come over the stream later", () => {
    const state = after(list(listed("EURUSD"), listed("GBPUSD")), list(listed("USDCOP")), entries(barEntry(50, bar(1, { symbol: "CADUSD" }))));
    expect(ordered(state.symbols).map(({ symbol }) => symbol)).toEqual(["CADUSD", "EURUSD", "GBPUSD", "USDCOP"]);
  });

  test("gives a symbol without a recent entry its price and action", () => {
    const state = euro(after(list(listed("EURUSD"))));
    expect([lastPrice(state), newestAction(state), state.closes]).toEqual([103, "HOLD", [101, 102, 103]]);
    const asked = euro(after(list(listed("EURUSD", { lastBarTime: undefined, lastClose: undefined, closes: [], action: undefined, signalSequence: undefined }))));
    expect([lastPrice(asked), newestAction(asked)]).toEqual([undefined, undefined]);
  });

  test("is the same whether it comes before the entries of the stream, between them or after them", () => {
    const log = [1, 2, 3, 4].map((at) => barEntry(30 + at, euroBar(at)));
    for (const split of [0, 1, 2, 3, 4]) {
      const state = euro(after(entries(...log.slice(0, split)), list(listed("EURUSD")), entries(...log.slice(split))));
      expect([lastPrice(state), state.closes], `after ${split}`).toEqual([104, [101, 102, 103, 104]]);
    }
  });

  test("is not undone by older signals of the stream, and a BUY after it is new", () => {
    const older = after(list(listed("EURUSD")), entries(signalEntry(signal(39, { symbol: "EURUSD" }))));
    expect([newestAction(euro(older)), euro(older).unseen]).toEqual(["HOLD", false]);
    const newer = after(list(listed("EURUSD")), entries(signalEntry(signal(41, { symbol: "EURUSD" }))));
    expect([newestAction(euro(newer)), euro(newer).unseen]).toEqual(["BUY", true]);
  });
});

describe("a symbol", () => {
  test("has its action since the first signal of the run", () => {
    const run = [signal(1, { action: "HOLD" }), signal(2), signal(3), signal(4)];
    expect(after(entries(...run.map(signalEntry))).symbols.get("USDCOP")!.actionSince).toEqual({ time: signal(2).time, exact: true });
    const history: StateAction = { type: "history", signals: [...run].reverse() };
    expect(after(entries(signalEntry(run[3]!)), history).symbols.get("USDCOP")!.actionSince).toEqual({ time: signal(2).time, exact: true });
  });

  test("says 'at least since' where the beginning of the run is not known", () => {
    const history: StateAction = { type: "history", signals: [signal(4), signal(3)] };
    expect(after(history).symbols.get("USDCOP")!.actionSince).toEqual({ time: signal(3).time, exact: false });
  });

  test("is marked when a BUY or SELL begins while another is looked at, until it is looked at", () => {
    const begins = [signalEntry(signal(1, { action: "HOLD", symbol: "EURUSD" })), signalEntry(signal(2, { symbol: "EURUSD" }))];
    const unseen = after(select, entries(...begins));
    expect(unseen.symbols.get("EURUSD")!.unseen).toBe(true);
    expect(reduce(unseen, { type: "select", symbol: "EURUSD" }).symbols.get("EURUSD")!.unseen).toBe(false);
    expect(after({ type: "select", symbol: "EURUSD" }, entries(...begins)).symbols.get("EURUSD")!.unseen).toBe(false);
  });

  test("is not marked by what the stream repeats from before the page was opened", () => {
    const info: Loadable<ServiceInfo> = { state: "ready", at: T0, value: { version: "1", feed: "push", epoch: "e", through: 2, oldest: 1, intervals: [] } };
    const backlog = [signal(1, { action: "HOLD", symbol: "EURUSD" }), signal(2, { symbol: "EURUSD" })].map(signalEntry);
    const opened = after({ type: "info", info }, select, entries(...backlog));
    expect(opened.symbols.get("EURUSD")!.unseen).toBe(false);
    const turned = reduce(opened, entries(signalEntry(signal(3, { action: "SELL", symbol: "EURUSD" }))));
    expect(turned.symbols.get("EURUSD")!.unseen).toBe(true);
  });
});

describe("the chart", () => {
  test("takes bars of its symbol only, each time once, in their order", () => {
    const bars: StateAction = { type: "bars", symbol: "USDCOP", bars: [bar(1), bar(2)], older: false };
    const state = after(select, entries(barEntry(1, bar(3)), barEntry(2, bar(9, { symbol: "EURUSD" }))), bars, entries(barEntry(3, bar(0))));
    expect(state.chart.bars.map(({ time }) => time)).toEqual([0, 1, 2, 3].map((at) => bar(at).time));
  });

  test("ignores an answer about the symbol that was looked at before", () => {
    const late: StateAction = { type: "bars", symbol: "EURUSD", bars: [bar(1, { symbol: "EURUSD" })], older: false };
    expect(after(select, late).chart.bars).toEqual([]);
  });

  test("distinguishes entries, beginnings and repetitions", () => {
    const chart = { ...after(select).chart, marks: [signal(1), signal(2), signal(4)], closed: [position(9, { signalId: "id-2", open: false })] };
    expect(weighed(chart, undefined, FIVE).map((mark) => mark.weight)).toEqual(["first", "entry", "first"]);
    expect(weighed(chart, position(9, { signalId: "id-4" }), FIVE).map((mark) => mark.weight)).toEqual(["first", "entry", "entry"]);
  });

  test("splits bars into sessions at nights", () => {
    const night = [bar(0), bar(1), bar(2, { time: bar(1).time + 19 * 3_600_000 }), bar(3, { time: bar(1).time + 19 * 3_600_000 + FIVE })];
    expect(sessions(night)).toEqual([{ from: 0, to: 2 }, { from: 2, to: 4 }]);
  });

  test("keeps the newest bars of too many", () => {
    const many = Array.from({ length: 30 }, (_, at) => bar(at));
    expect(merged(many.slice(0, 10), many.slice(10), 20)[0]).toBe(many[10]);
  });
});

test("a new log forgets what the old one said, and keeps what one looks at", () => {
  const state = after(select, entries(barEntry(1, bar(0)), signalEntry(signal(2)), positionEntry(position(3))), { type: "begin", after: 0 });
  expect(state.symbols.size).toBe(0);
  expect(state.list.rows).toEqual([]);
  expect(state.chart).toMatchObject({ symbol: "USDCOP", bars: [] });
  expect(state.selected).toBe("USDCOP");
  expect(reduce(state, entries(signalEntry(signal(1)))).list.rows).toHaveLength(1);
});

describe("a symbol of the address", () => {
  const read: StateAction[] = [
    { type: "select", symbol: "NOSUCH" },
    { type: "bars", symbol: "NOSUCH", bars: [], older: false },
    { type: "symbol read", symbol: "NOSUCH" },
  ];

  test("is unknown once the service has said that it has nothing of it", () => {
    expect(isUnknownSymbol(after(...read.slice(0, 2)))).toBe(false);
    expect(isUnknownSymbol(after(...read))).toBe(true);
    expect(isUnknownSymbol(after(read[0]!, { type: "bars failed", symbol: "NOSUCH", error: "cannot be", unknown: true }))).toBe(true);
    expect(isUnknownSymbol(after(read[0]!, { type: "bars failed", symbol: "NOSUCH", error: "away", unknown: false }))).toBe(false);
  });

  test("is known with its first bar", () => {
    expect(isUnknownSymbol(after(...read, entries(barEntry(1, bar(0, { symbol: "NOSUCH" })))))).toBe(false);
  });

  test("that is unknown leads to one that has something to show", () => {
    const state = after(entries(barEntry(1, bar(0, { symbol: "EURCOP" })), positionEntry(position(2, { symbol: "USDCOP" }))), ...read);
    expect(symbolToShow(state)).toBe("USDCOP");
  });
});

describe("older bars", () => {
  const page = (from: number, to: number, older: boolean): StateAction => ({ type: "bars", symbol: "USDCOP", bars: Array.from({ length: to - from }, (_, index) => bar(from + index)), older });
  const marks = (sequences: readonly number[], closed: readonly number[] = []): StateAction => ({
    type: "marks",
    symbol: "USDCOP",
    signals: sequences.map((sequence) => signal(sequence)),
    closed: closed.map((sequence) => position(sequence, { id: `p${sequence}`, open: false, exitTime: T0 + sequence * FIVE })),
  });

  test("keep the marks and exits of all bars, in whatever order they are read", () => {
    const newest = after(select, page(1_000, 1_400, true), marks([1_001, 1_399], [1_002]));
    const all = [page(0, 1_000, false), marks([3, 700], [5, 900]), marks([3, 999], [5])].reduce(reduce, newest);
    expect(all.chart.marks.map(({ sequence }) => sequence)).toEqual([3, 700, 999, 1_001, 1_399]);
    expect(all.chart.closed.map(({ sequence }) => sequence)).toEqual([5, 900, 1_002]);
    expect([newest.chart.older, all.chart.older]).toEqual([true, false]);
  });

  test("keep more exits than one page has", () => {
    const exits = Array.from({ length: 700 }, (_, index) => index + 1);
    expect(after(select, page(0, 1_000, false), marks([], exits)).chart.closed).toHaveLength(700);
  });

  test("are known to be there when the newest bars are read again, or pushed them out", () => {
    const loaded = after(select, page(0, 1_000, true), page(600, 1_000, true));
    expect(loaded.chart.older).toBe(true);
    const complete = after(select, page(0, 1_000, false), page(600, 1_000, true));
    expect(complete.chart.older).toBe(false);
    const full = after(select, page(0, CHART_BARS, false), entries(barEntry(1, bar(CHART_BARS))));
    expect(full.chart.bars[0]!.time).toBeGreaterThan(T0);
    expect(full.chart.older).toBe(true);
  });
});

describe("a page that begins", () => {
  test("has read everything by which it chooses a symbol once each response has come, in any order", () => {
    const positions: StateAction = { type: "positions", positions: [], through: 0 };
    const signals: StateAction = { type: "page", filter: ALL, signals: [], nextToken: "", through: 0 };
    const health: StateAction = { type: "health", health: { state: "failed", error: "away", temporary: true, unknown: false } };
    const symbols: StateAction = { type: "symbols", symbols: [], last: false };
    const all = [positions, signals, symbols, health];
    for (const at of all.keys()) {
      const order = [...all.slice(at), ...all.slice(0, at)];
      expect(isRead(after(...order.slice(0, 3)))).toBe(false);
      expect(isRead(after(...order))).toBe(true);
    }
  });

  test("has not read the symbols if their list failed, and forgets the error when it is read", () => {
    const failed: StateAction = { type: "symbols failed", error: "away" };
    expect([after(failed).symbolsListed, after(failed).symbolsError]).toEqual([false, "away"]);
    const again = after(failed, { type: "symbols", symbols: [], last: true });
    expect([again.symbolsListed, again.symbolsError]).toEqual([true, ""]);
  });
});

test("the newest signal and bar have the time of their commit, whether a list or the stream brings them first", () => {
  const listed: StateAction[] = [{ type: "history", signals: [signal(2)] }, { type: "closes", symbol: "USDCOP", bars: [bar(0)] }];
  const streamed = entries(barEntry(1, bar(0)), signalEntry({ ...signal(2), committed: T0 + 1 }));
  for (const order of [[...listed, streamed], [streamed, ...listed]]) {
    const state = after(select, ...order).symbols.get("USDCOP")!;
    expect(state.signal?.committed).toBe(T0 + 1);
    expect(state.barCommitted).toBeDefined();
  }
});
