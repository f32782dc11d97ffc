/** Until when a signal may be acted on, by the clock of its market. */

import { intervalMs } from "./bars";
import type { Bar, Signal } from "./types";

/** Feeds whose market has a time of its own: the close of its newest bar. */
const REPLAYED: readonly string[] = ["simulate", "replay"];

export type Validity = "valid" | "expired" | "never" | "unknown";

/** The time of the market: in a simulated or replayed one that of its newest bar, else `now`, by the clock of the service. */
export function marketTime(now: number, feed: string | undefined, lastBar: Bar | undefined): number {
  const replayed = feed !== undefined && REPLAYED.includes(feed);
  return replayed && lastBar ? lastBar.time + intervalMs(lastBar.interval) : now;
}

/** "never" if nothing may be opened by it; "unknown" if an earlier version of the service made it. */
export function validityOf({ time, validUntil }: Signal, at: number): Validity {
  if (validUntil === undefined) return "unknown";
  if (validUntil <= time) return "never";
  return at < validUntil ? "valid" : "expired";
}
