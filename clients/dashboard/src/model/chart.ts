/** What the chart draws: bars, signals as marks, and closed positions of the symbol that is looked at. */

import { CHART_BARS, merged } from "./bars";
import type { Bar, LogEntry, Position, Signal } from "./types";

export interface Chart {
  readonly symbol: string;
  readonly bars: readonly Bar[];
  /** BUY and SELL, the oldest first. */
  readonly marks: readonly Signal[];
  readonly closed: readonly Position[];
  /** Whether there are older bars than the first. */
  readonly older: boolean;
  readonly loading: boolean;
  readonly error: string;
  /** Everything about the symbol that the page begins with has been read, or cannot exist. */
  readonly read: boolean;
  /** Times of bars that are known to be outside the session. */
  readonly outside: ReadonlySet<number>;
}

export function noChart(symbol: string): Chart {
  return { symbol, bars: [], marks: [], closed: [], older: false, loading: true, error: "", read: false, outside: new Set() };
}

/** Apply entries of the log. */
export function afterChartEntries(chart: Chart, entries: readonly LogEntry[]): Chart {
  const bars: Bar[] = [];
  const signals: Signal[] = [];
  const closed: Position[] = [];
  const outside: number[] = [];
  for (const entry of entries) {
    if (entry.kind === "BAR" && entry.bar.symbol === chart.symbol) {
      bars.push(entry.bar);
      if (entry.disposition === "OUTSIDE_SESSION") outside.push(entry.bar.time);
    }
    if (entry.kind === "SIGNAL" && entry.signal.symbol === chart.symbol) signals.push(entry.signal);
    if (entry.kind === "POSITION" && entry.position.symbol === chart.symbol && !entry.position.open) closed.push(entry.position);
  }
  if (!bars.length && !signals.length && !closed.length) return chart;
  const all = merged(chart.bars, bars);
  const first = all[0]?.time ?? -Infinity;
  const added = {
    ...chart,
    bars: all,
    older: chart.older || first > (chart.bars[0]?.time ?? first),
    outside: outside.length ? new Set([...chart.outside, ...outside].filter((time) => time >= first)) : chart.outside,
  };
  return withClosed(withMarks(added, signals), closed);
}

/** Add a page of bars: the newest, or those before the first. */
export function withBarsOfPage(chart: Chart, page: readonly Bar[], older: boolean): Chart {
  const bars = merged(chart.bars, page);
  const first = page[0]?.time;
  const isFirst = first === undefined || bars[0]?.time === first;
  return { ...chart, loading: false, error: "", bars, older: isFirst ? older : chart.older || bars[0]!.time > first };
}

/** Add signals, each once; those before the first bar are dropped. */
export function withMarks(chart: Chart, signals: readonly Signal[]): Chart {
  const known = new Set(chart.marks.map((mark) => mark.sequence));
  const added = signals.filter((signal) => signal.action !== "HOLD" && !known.has(signal.sequence));
  const first = chart.bars[0]?.time ?? -Infinity;
  const crowded = chart.marks.length > 0 && chart.marks[0]!.time < first;
  if (!added.length && !crowded) return chart;
  const marks = [...chart.marks, ...added].filter((mark) => mark.time >= first);
  marks.sort((a, b) => a.sequence - b.sequence);
  return { ...chart, marks };
}

/** Add closed positions, each once. Those that ended before the first bar are kept for when one scrolls back: pages of them do not end with a bar. */
export function withClosed(chart: Chart, positions: readonly Position[]): Chart {
  const known = new Set(chart.closed.map((position) => position.id));
  const added = positions.filter((position) => !known.has(position.id));
  if (!added.length) return chart;
  const closed = [...chart.closed, ...added].sort((a, b) => a.sequence - b.sequence).slice(-CHART_BARS);
  return { ...chart, closed };
}

export interface Mark {
  readonly signal: Signal;
  /** "entry": it opened a position; "first": the action began with it; "again": the bar before had the same action. */
  readonly weight: "entry" | "first" | "again";
}

/** Tell the signals that opened a position or began an action from those that repeated it. */
export function weighed(chart: Chart, position: Position | undefined, intervalMs: number): readonly Mark[] {
  const openers = new Set(chart.closed.map((closed) => closed.signalId));
  if (position) openers.add(position.signalId);
  return chart.marks.map((signal, index) => {
    const before = chart.marks[index - 1];
    const repeats = before?.action === signal.action && signal.time - before.time <= intervalMs;
    return { signal, weight: openers.has(signal.id) ? "entry" : repeats ? "again" : "first" };
  });
}
