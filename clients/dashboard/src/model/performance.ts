/** What signals were worth: the statistics that the service computes of their outcomes. */

import { integer, number, percent, sentence, share, signed } from "./format";
import type { Estimate } from "./outcomes";

export interface Figure extends Estimate {
  readonly name: string;
  readonly unit: string;
}

export type Figures = ReadonlyMap<string, Figure>;

export interface Group {
  readonly dimension: Dimension;
  readonly key: string;
  readonly figures: Figures;
}

export interface Bin {
  /** Mean of the win probabilities in it, and the share that won. */
  readonly forecast: number;
  readonly won: Estimate;
}

export interface Performance {
  readonly figures: Figures;
  readonly groups: readonly Group[];
  readonly bins: readonly Bin[];
  /** First entry and last exit of the trades that count. */
  readonly start?: number | undefined;
  readonly end?: number | undefined;
  /** Older trades were left out. */
  readonly truncated: boolean;
  readonly simulated: boolean;
  readonly currency: string;
}

export const DIMENSIONS = ["SYMBOL", "ACTION", "CONFIDENCE", "HOUR", "WEEKDAY", "MONTH", "MODEL_VERSION", "ORIGIN", "RESOLUTION"] as const;
export type Dimension = (typeof DIMENSIONS)[number];

const NO_CASES: Estimate = { value: undefined, n: 0 };

export function figure(figures: Figures, name: string): Estimate {
  return figures.get(name) ?? NO_CASES;
}

/** Groups of a dimension, in the order of the service: that of their keys. */
export function groupsOf(performance: Performance, dimension: Dimension): readonly Group[] {
  return performance.groups.filter((group) => group.dimension === dimension);
}

/** Ways of ending and how many trades ended so, the most frequent first. */
export function endings(performance: Performance): readonly { readonly name: string; readonly n: number }[] {
  return groupsOf(performance, "RESOLUTION")
    .map(({ key, figures }) => ({ name: key, n: figure(figures, "trades").value ?? 0 }))
    .sort((a, b) => b.n - a.n);
}

/** A value in a unit of the contract, as text. */
export function inUnit(value: number | undefined, unit: string): string {
  if (value === undefined) return number(value);
  switch (unit) {
    case "percent":
      return percent(value, 2);
    case "R":
      return `${signed(value)} R`;
    case "account currency":
      return signed(value);
    case "count":
      return integer(value);
    case "probability":
      return share(value);
    case "calendar days":
      return `${number(value, 1)} ${value === 1 ? "day" : "days"}`;
    case "ms":
      return `${number(value)} ms`;
    default:
      return number(value, Math.abs(value) < 1 ? 3 : 2);
  }
}

/** "average_win_r" is "Average win": its unit stands in its value, but for the currency of the account. */
export function titleOf({ name, unit }: Figure, currency: string): string {
  const bare = name.replace(/_(pct|r)$/, "").replace(/_days$/, "").replace(/_ms_p(\d+)$/, ", $1th percentile");
  const words = sentence(bare).replace(/\b(mfe|mae|cagr|auc|var|cvar|pnl)\b/gi, (word) => word.toUpperCase());
  return unit === "account currency" ? `${words}, ${currency}` : words;
}
