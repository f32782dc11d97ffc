/** Runs of backtests that are compared, and the figures of which. */

import { number, percent, signed, signedPercent } from "./format";
import type { Estimate } from "./outcomes";

export interface BacktestRun {
  readonly number: number;
  readonly title: string;
  readonly model: string;
  readonly bars: number;
  readonly seconds: number;
  readonly firstBar: number;
  readonly lastBar: number;
  /** By name, as docs/statistics.md has them. */
  readonly figures: ReadonlyMap<string, Estimate>;
  readonly comparisons: readonly { readonly name: string; readonly definition: string; readonly figures: ReadonlyMap<string, Estimate> }[];
  readonly equity: readonly (readonly [number, number])[];
  readonly rejections: readonly { readonly rule: string; readonly count: number }[];
}

export const MOST_RUNS = 3;

/** Figures that are shown, in their order. */
export const SHOWN: readonly (readonly [string, string, (value: number | undefined) => string])[] = [
  ["total_return_pct", "Return", (value) => signedPercent(value)],
  ["pnl", "Profit of closed trades", (value) => signed(value)],
  ["trades", "Trades", (value) => number(value, 0)],
  ["win_rate_pct", "Win rate", (value) => percent(value)],
  ["expectancy_r", "Mean result, R", (value) => signed(value)],
  ["profit_factor", "Profit factor", (value) => number(value)],
  ["max_drawdown_pct", "Deepest drawdown", (value) => percent(value, 2)],
  ["sharpe", "Sharpe, a year", (value) => number(value)],
  ["time_in_market_pct", "Time in the market", (value) => percent(value)],
  ["brier_skill", "Brier skill", (value) => number(value, 3)],
];

/** A figure of a run: undefined if it has no cases, but for the number of trades, which is 0 then. */
export function shownFigure(figures: ReadonlyMap<string, Estimate>, name: string): Estimate {
  const found = figures.get(name);
  return found && (found.n > 0 || name === "trades") ? found : { value: undefined, n: 0 };
}
