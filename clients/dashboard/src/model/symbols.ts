/** What the list of symbols shows of each. */

import type { Bar, LogEntry, Position, Signal } from "./types";

export const MAX_SYMBOLS = 300;
export const CLOSES = 48;

export interface SymbolState {
  readonly symbol: string;
  readonly lastBar?: Bar | undefined;
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
  /** A BUY or SELL that began while another symbol was looked at. */
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

/** Add symbols of which nothing but the name is known. */
export function withNames(before: Symbols, names: readonly string[]): Symbols {
  const added = names.filter((name) => !before.has(name));
  if (!added.length) return before;
  const symbols = new Map(before);
  for (const name of added) put(symbols, stateOf(symbols, name));
  return symbols;
}

/** Apply entries of the log; `selected` is the symbol that is looked at. */
export function afterEntries(before: Symbols, entries: readonly LogEntry[], selected: string): Symbols {
  const symbols = new Map(before);
  for (const entry of entries) {
    if (entry.kind === "BAR") put(symbols, withBar(stateOf(symbols, entry.bar.symbol), entry.bar, entry.committed));
    if (entry.kind === "SIGNAL") put(symbols, withSignal(stateOf(symbols, entry.signal.symbol), entry.signal, selected));
    if (entry.kind === "POSITION") put(symbols, withPosition(stateOf(symbols, entry.position.symbol), entry.position));
  }
  return symbols;
}

export function withBar(state: SymbolState, bar: Bar, committed?: number): SymbolState {
  if (state.lastBar && bar.time <= state.lastBar.time) return state;
  return { ...state, lastBar: bar, barCommitted: committed, closes: [...state.closes, bar.close].slice(-CLOSES) };
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

export function withSignal(state: SymbolState, signal: Signal, selected: string): SymbolState {
  const known = state.signal;
  if (known && signal.sequence <= known.sequence) return state;
  const changed = known?.action !== signal.action;
  return {
    ...state,
    signal,
    actionSince: known && !changed ? state.actionSince : { time: signal.time, exact: known !== undefined },
    unseen: state.unseen || (known !== undefined && changed && signal.action !== "HOLD" && signal.symbol !== selected),
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
    const newest = state.signal && state.signal.sequence > list[0]!.sequence ? state.signal : list[0]!;
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

/** The symbols by name: an order that does not change while one looks at it. */
export function ordered(symbols: Symbols): readonly SymbolState[] {
  return [...symbols.values()].sort((a, b) => (a.symbol < b.symbol ? -1 : 1));
}
