/** What signals were worth, in figures with their number of cases and 95% interval. */

import type { Action } from "./types";

export interface Outcome {
  readonly id: string;
  readonly signalId: string;
  readonly symbol: string;
  readonly action: Action;
  readonly model: string;
  readonly shadow: boolean;
  readonly acted: boolean;
  readonly simulated: boolean;
  readonly confidence: number;
  readonly winProbability?: number | undefined;
  readonly entryTime: number;
  readonly exitTime: number;
  readonly entry: number;
  readonly exit: number;
  readonly resolution: string;
  readonly r: number;
  readonly netPct: number;
  readonly pnlAccount: number;
  readonly barsHeld: number;
}

/** An estimate; undefined where it has no cases. */
export interface Estimate {
  readonly value: number | undefined;
  readonly n: number;
  readonly low?: number | undefined;
  readonly high?: number | undefined;
}

const Z = 1.959964;

/** A share with Wilson's interval. */
export function shareOf(count: number, n: number): Estimate {
  if (n === 0) return { value: undefined, n };
  const p = count / n;
  const middle = (p + (Z * Z) / (2 * n)) / (1 + (Z * Z) / n);
  const half = (Z / (1 + (Z * Z) / n)) * Math.sqrt((p * (1 - p)) / n + (Z * Z) / (4 * n * n));
  return { value: p, n, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

/** A mean with the interval of a normal distribution, from two cases on. */
export function meanOf(values: readonly number[]): Estimate {
  const n = values.length;
  if (n === 0) return { value: undefined, n };
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  if (n < 2) return { value: mean, n };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const half = Z * Math.sqrt(variance / n);
  return { value: mean, n, low: mean - half, high: mean + half };
}

export interface Performance {
  readonly n: number;
  readonly winRate: Estimate;
  readonly meanR: Estimate;
  readonly averageWinR: Estimate;
  readonly averageLossR: Estimate;
  /** Sum of wins over sum of losses in R. Undefined without a loss. */
  readonly profitFactor: Estimate;
  readonly pnl: Estimate;
  readonly meanConfidence: Estimate;
  readonly resolutions: readonly { readonly name: string; readonly n: number }[];
}

/** Figures of outcomes. A win is a profit above 0 after costs. */
export function performanceOf(outcomes: readonly Outcome[]): Performance {
  const n = outcomes.length;
  const wins = outcomes.filter((outcome) => outcome.netPct > 0).map((outcome) => outcome.r);
  const losses = outcomes.filter((outcome) => outcome.netPct < 0).map((outcome) => outcome.r);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const counts = new Map<string, number>();
  for (const outcome of outcomes) counts.set(outcome.resolution, (counts.get(outcome.resolution) ?? 0) + 1);
  return {
    n,
    winRate: shareOf(wins.length, n),
    meanR: meanOf(outcomes.map((outcome) => outcome.r)),
    averageWinR: meanOf(wins),
    averageLossR: meanOf(losses),
    profitFactor: { value: losses.length ? sum(wins) / -sum(losses) : undefined, n },
    pnl: { value: n ? sum(outcomes.map((outcome) => outcome.pnlAccount)) : undefined, n },
    meanConfidence: meanOf(outcomes.map((outcome) => outcome.confidence)),
    resolutions: [...counts].map(([name, count]) => ({ name, n: count })).sort((a, b) => b.n - a.n),
  };
}

export interface Bin {
  /** Mean of the forecasts in it. */
  readonly forecast: number;
  readonly won: Estimate;
}

export interface Calibration {
  readonly bins: readonly Bin[];
  readonly n: number;
  /** Mean squared difference of forecast and result; of always forecasting the win rate. */
  readonly brier: number | undefined;
  readonly brierOfWinRate: number | undefined;
}

/** How often what was forecast with a win probability was won, in ten bins of equal width; empty ones are left out. */
export function calibrationOf(outcomes: readonly Outcome[]): Calibration {
  const cases = outcomes.flatMap((outcome) => (outcome.winProbability === undefined ? [] : [{ p: outcome.winProbability, won: outcome.netPct > 0 ? 1 : 0 }]));
  const n = cases.length;
  const bins = Array.from({ length: 10 }, (_, index) => cases.filter(({ p }) => Math.min(9, Math.floor(p * 10)) === index))
    .filter((inside) => inside.length > 0)
    .map((inside) => ({
      forecast: inside.reduce((sum, { p }) => sum + p, 0) / inside.length,
      won: shareOf(inside.filter(({ won }) => won).length, inside.length),
    }));
  const rate = n ? cases.filter(({ won }) => won).length / n : 0;
  return {
    bins,
    n,
    brier: n ? cases.reduce((sum, { p, won }) => sum + (p - won) ** 2, 0) / n : undefined,
    brierOfWinRate: n ? rate * (1 - rate) : undefined,
  };
}
