/** Bars of the chart, in the order of time. */

import type { Bar } from "./types";

export const CHART_BARS = 5_000;

const SECONDS: Readonly<Record<string, number>> = { "1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14400, "1d": 86400 };

/** Milliseconds of an interval such as "5m"; of five minutes if it is unknown. */
export function intervalMs(interval: string): number {
  return (SECONDS[interval] ?? 300) * 1000;
}

/** Merge sorted and new bars by time; a bar that is there already is replaced. Keeps the newest `limit`. */
export function merged(bars: readonly Bar[], added: readonly Bar[], limit = CHART_BARS): readonly Bar[] {
  if (!added.length) return bars;
  const last = bars.at(-1);
  if (added.length === 1 && (!last || added[0]!.time > last.time)) {
    const next = [...bars, added[0]!];
    return next.length > limit ? next.slice(-Math.floor(limit * 0.9)) : next;
  }
  const byTime = new Map(bars.map((bar) => [bar.time, bar]));
  for (const bar of added) byTime.set(bar.time, bar);
  const all = [...byTime.values()].sort((a, b) => a.time - b.time);
  return all.length > limit ? all.slice(-limit) : all;
}

export interface Session {
  /** Index of its first bar, and of the one after its last. */
  readonly from: number;
  readonly to: number;
}

/** Split bars into sessions: where the time between two is more than an hour beyond the interval, or the day of UTC changes. */
export function sessions(bars: readonly Bar[]): readonly Session[] {
  const found: Session[] = [];
  let from = 0;
  for (let index = 1; index <= bars.length; index += 1) {
    const bar = bars[index];
    const before = bars[index - 1]!;
    const day = 86_400_000;
    const ends =
      !bar ||
      bar.time - before.time > intervalMs(bar.interval) + 3_600_000 ||
      Math.floor(bar.time / day) !== Math.floor(before.time / day);
    if (ends) {
      found.push({ from, to: index });
      from = index;
    }
  }
  return found;
}
