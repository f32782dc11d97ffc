/** What the list of symbols shows of each. */

import type { Action, Bar, ListedSymbol, LogEntry, Position, Signal } from "./types";

export const MAX_SYMBOLS = 10_000;
export const CLOSES = 48;

export interface SymbolState {
  readonly symbol: string;
  readonly lastBar?: Bar | undefined;
  /** What the list of the service has of the symbol, for what nothing newer is known of. */
  readonly listed?: ListedSymbol | undefined;
  /** When the newest bar was committed, by the server's clock. */
  readonly barCommitted?: number | undefined;
  /** The newest closes, the oldest first. */
  readonly closes: readonly number[];
  readonly signal?: Signal | undefined;
  /** The signal with which the present action began, as far as it is known, and whether its beginning was seen. */
  readonly actionSince?: { readonly time: number; readonly exact: boolean } | undefined;
  readonly position?: Position | undefined;
  /** Sequence of the newest change of a position of the symbol. */
  readonly positionSequence: number;
  /** A BUY or SELL that began since the page was opened, while another symbol was looked at. */
  readonly unseen: boolean;
}

export type Symbols = ReadonlyMap<string, SymbolState>;

function stateOf(symbols: Symbols, symbol: string): SymbolState {
  return symbols.get(symbol) ?? { symbol, closes: [], positionSequence: 0, unseen: false };
}

/** Set one state. Beyond MAX_SYMBOLS only a symbol with a position is added. */
function put(symbols: Map<string, SymbolState>, state: SymbolState): void {
  if (symbols.has(state.symbol) || symbols.size < MAX_SYMBOLS || state.position) symbols.set(state.symbol, state);
}

/** Add a page of the symbols of the service; what the stream brought meanwhile stays. */
export function withListed(before: Symbols, page: readonly ListedSymbol[]): Symbols {
  const symbols = new Map(before);
  for (const listed of page) {
    const state = stateOf(symbols, listed.symbol);
    const since = listed.lastBarTime ?? -Infinity;
    const { lastBar } = state;
    const newer = lastBar && lastBar.time > since ? [lastBar.close] : [];
    const closes = state.closes.length > listed.closes.length ? state.closes : [...listed.closes, ...newer].slice(-CLOSES);
    put(symbols, { ...state, listed, lastBar: lastBar && lastBar.time >= since ? lastBar : undefined, closes });
  }
  return symbols;
}

/** Apply entries of the log; `selected` is the symbol that is looked at, `opened` the newest sequence when the page began. */
export function afterEntries(before: Symbols, entries: readonly LogEntry[], selected: string, opened: number): Symbols {
  const symbols = new Map(before);
  for (const entry of entries) {
    if (entry.kind === "BAR") put(symbols, withBar(stateOf(symbols, entry.bar.symbol), entry.bar, entry.committed));
    if (entry.kind === "SIGNAL") put(symbols, withSignal(stateOf(symbols, entry.signal.symbol), entry.signal, selected, opened));
    if (entry.kind === "POSITION") put(symbols, withPosition(stateOf(symbols, entry.position.symbol), entry.position));
  }
  return symbols;
}

export function withBar(state: SymbolState, bar: Bar, committed?: number): SymbolState {
  const known = state.lastBar?.time ?? -Infinity;
  const listed = state.listed?.lastBarTime ?? -Infinity;
  // A list that was read before has the bar without the time of its commit.
  if (bar.time === known && state.barCommitted === undefined) return { ...state, barCommitted: committed };
  if (bar.time <= known || bar.time < listed) return state;
  const closes = bar.time > listed ? [...state.closes, bar.close].slice(-CLOSES) : state.closes;
  return { ...state, lastBar: bar, barCommitted: committed, closes };
}

/** Set the closes from a list of bars, the oldest first; what the stream brought after them stays. */
export function withBars(before: Symbols, symbol: string, bars: readonly Bar[]): Symbols {
  const state = stateOf(before, symbol);
  const last = bars.at(-1);
  if (!last) return before;
  const newer = state.lastBar && state.lastBar.time > last.time ? [state.lastBar] : [];
  const all = [...bars, ...newer];
  const symbols = new Map(before);
  put(symbols, { ...state, lastBar: all.at(-1), closes: all.slice(-CLOSES).map((bar) => bar.close) });
  return symbols;
}

export function withSignal(state: SymbolState, signal: Signal, selected: string, opened: number): SymbolState {
  const known = state.signal;
  // A list that was read before has the signal without the time of its commit.
  if (signal.sequence === known?.sequence && known.committed === undefined) return { ...state, signal };
  if (signal.sequence <= (known?.sequence ?? -1) || signal.sequence < (state.listed?.signalSequence ?? -1)) return state;
  const before = newestAction(state);
  const changed = before !== signal.action;
  const begins = before !== undefined && changed && signal.action !== "HOLD" && signal.sequence > opened;
  return {
    ...state,
    signal,
    actionSince: known && !changed ? state.actionSince : { time: signal.time, exact: before !== undefined && changed },
    unseen: state.unseen || (begins && signal.symbol !== selected),
  };
}

export function withPosition(state: SymbolState, position: Position): SymbolState {
  if (position.sequence <= state.positionSequence) return state;
  const ended = !state.position || state.position.id === position.id ? undefined : state.position;
  return { ...state, positionSequence: position.sequence, position: position.open ? position : ended };
}

/** Set the open positions from a list that is complete up to `through`; newer changes of the stream stay. */
export function withPositions(before: Symbols, positions: readonly Position[], through: number): Symbols {
  const symbols = new Map(before);
  const listed = new Set(positions.map((position) => position.symbol));
  for (const state of before.values()) {
    if (state.position && !listed.has(state.symbol) && state.positionSequence <= through) {
      symbols.set(state.symbol, { ...state, position: undefined });
    }
  }
  for (const position of positions) put(symbols, withPosition(stateOf(symbols, position.symbol), position));
  return symbols;
}

/** Learn from a list of the newest signals, the newest first, with which signal a symbol's present action began. */
export function withHistory(before: Symbols, signals: readonly Signal[]): Symbols {
  const symbols = new Map(before);
  const bySymbol = new Map<string, Signal[]>();
  for (const signal of signals) bySymbol.set(signal.symbol, [...(bySymbol.get(signal.symbol) ?? []), signal]);
  for (const [symbol, list] of bySymbol) {
    const state = stateOf(symbols, symbol);
    const newest = state.signal && state.signal.sequence >= list[0]!.sequence ? state.signal : list[0]!;
    const older = list.filter((signal) => signal.sequence <= newest.sequence);
    const end = older.findIndex((signal) => signal.action !== newest.action);
    const first = older[(end < 0 ? older.length : end) - 1] ?? newest;
    const since = { time: first.time, exact: end >= 0 };
    const known = state.actionSince;
    const better = !known || newest !== state.signal || first.time < known.time || (since.exact && !known.exact);
    put(symbols, { ...state, signal: newest, actionSince: better ? since : known });
  }
  return symbols;
}

/** The newest price that is known: of the newest bar, else of the newest signal. */
export function lastPrice({ lastBar, listed, signal }: SymbolState): number | undefined {
  return lastBar?.close ?? listed?.lastClose ?? signal?.price;
}

/** The action of the newest signal. */
export function newestAction({ listed, signal }: SymbolState): Action | undefined {
  return signal?.action ?? listed?.action;
}

/** The symbols by name: an order that does not change while one looks at it. */
export function ordered(symbols: Symbols): readonly SymbolState[] {
  return [...symbols.values()].sort((a, b) => (a.symbol < b.symbol ? -1 : 1));
}
