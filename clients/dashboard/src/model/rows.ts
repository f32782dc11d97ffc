/** The list of signals, the newest first: pages that were read, and what came over the stream on top of them. */

import type { Action, Signal } from "./types";

export const LIVE_ROWS = 4_000;
export const SCROLLED_ROWS = 20_000;

export interface Filter {
  readonly symbol: string;
  readonly action: Action | "";
  /** 0..1. */
  readonly minConfidence: number;
}

export const ALL: Filter = { symbol: "", action: "", minConfidence: 0 };

export interface SignalRows {
  readonly filter: Filter;
  readonly rows: readonly Signal[];
  /** Everything up to here is in `rows`, as far as it passes the filter. */
  readonly through: number;
  /** Token of the page after the last row; undefined: it is not known, because rows were dropped; "": there is none. */
  readonly nextToken: string | undefined;
  readonly loading: boolean;
  readonly error: string;
  /** False until the first page has been read. */
  readonly read: boolean;
}

export function noRows(filter: Filter): SignalRows {
  return { filter, rows: [], through: 0, nextToken: "", loading: true, error: "", read: false };
}

export function passes(filter: Filter, signal: Signal): boolean {
  return (
    (!filter.symbol || signal.symbol === filter.symbol) &&
    (!filter.action || signal.action === filter.action) &&
    signal.confidence >= filter.minConfidence
  );
}

/** Put signals of the stream on top, each once. `limit` bounds what is kept; the oldest are dropped. */
export function withLive(list: SignalRows, signals: readonly Signal[], limit: number): SignalRows {
  const newest = list.rows[0]?.sequence ?? 0;
  const floor = list.read ? Math.max(newest, list.through) : newest;
  const fresh = signals.filter((signal) => signal.sequence > floor && passes(list.filter, signal));
  if (!fresh.length) return list;
  fresh.sort((a, b) => b.sequence - a.sequence);
  return trimmed({ ...list, rows: [...fresh, ...list.rows], through: Math.max(list.through, fresh[0]!.sequence) }, limit);
}

/** Drop the oldest rows beyond the limit, a quarter at once so that it is seldom done. */
function trimmed(list: SignalRows, limit: number): SignalRows {
  if (list.rows.length <= limit) return list;
  return { ...list, rows: list.rows.slice(0, Math.floor(limit * 0.75)), nextToken: undefined };
}

/** Add a page below, whose rows may repeat what is there. The first page is merged with what the stream has brought. */
export function withPage(list: SignalRows, page: readonly Signal[], nextToken: string, through: number): SignalRows {
  const read = { ...list, loading: false, error: "", read: true, nextToken };
  const wanted = page.filter((signal) => passes(list.filter, signal));
  if (!list.read) {
    const known = new Set(wanted.map((signal) => signal.sequence));
    const rows = [...list.rows.filter((signal) => !known.has(signal.sequence)), ...wanted];
    rows.sort((a, b) => b.sequence - a.sequence);
    return { ...read, rows, through: Math.max(list.through, through) };
  }
  const oldest = list.rows.at(-1)?.sequence ?? Infinity;
  return { ...read, rows: [...list.rows, ...wanted.filter((signal) => signal.sequence < oldest)] };
}
