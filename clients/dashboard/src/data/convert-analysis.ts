/** Messages of the views Trust and State as values of the page. */

import * as v1 from "trading-signals-client";

import type { BacktestRun } from "../model/backtests";
import type { Estimate, Outcome } from "../model/outcomes";
import type { Dimension, Figures, Performance } from "../model/performance";
import type { EquityPoint } from "../model/types";
import { actionOf, at, ms, name, once } from "./convert";

export function outcomeOf(outcome: v1.Outcome): Outcome {
  return {
    id: outcome.outcomeId,
    signalId: outcome.signalId,
    symbol: once(outcome.symbol),
    action: actionOf(outcome.action),
    model: once(outcome.modelVersion),
    shadow: outcome.shadow,
    acted: outcome.acted,
    simulated: outcome.simulated,
    confidence: outcome.confidence,
    winProbability: outcome.winProbability,
    entryTime: at(outcome.entryTime),
    exitTime: at(outcome.exitTime),
    entry: outcome.entryPrice,
    exit: outcome.exitPrice,
    resolution: name(v1.Outcome_Resolution, outcome.resolution),
    r: outcome.rMultiple,
    netPct: outcome.netPct,
    pnlAccount: outcome.pnlAccount,
    barsHeld: outcome.barsHeld,
  };
}

function figuresOf(figures: readonly v1.BacktestFigure[]): ReadonlyMap<string, Estimate> {
  return new Map(figures.map(({ name: key, value, n, low, high }) => [key, { value, n: Number(n), low, high }]));
}

function statisticsOf(figures: readonly v1.Figure[]): Figures {
  return new Map(figures.map(({ name: key, unit, value, n, low, high }) => [key, { name: key, unit, value, n, low, high }]));
}

export function performanceOf(performance: v1.Performance): Performance {
  const { figures, groups, calibration, startTime, endTime, truncated, simulated, currency } = performance;
  return {
    figures: statisticsOf(figures),
    groups: groups.map((group) => ({ dimension: name(v1.PerformanceGroup_Dimension, group.dimension) as Dimension, key: group.key, figures: statisticsOf(group.figures) })),
    bins: calibration.map((bin) => ({ forecast: bin.meanWinProbability, won: { value: bin.winRate, n: bin.n, low: bin.winRateLow, high: bin.winRateHigh } })),
    start: ms(startTime),
    end: ms(endTime),
    truncated,
    simulated,
    currency,
  };
}

/** The result of a backtest, with its equity, which comes before it. */
export function runOf(result: v1.BacktestResult, equity: readonly v1.BacktestEquityPoint[], number: number, title: string): BacktestRun {
  const { facts, bars } = result;
  return {
    number,
    title,
    model: facts?.modelVersion ?? "",
    bars: Number(bars?.accepted ?? 0n),
    seconds: result.seconds,
    firstBar: at(facts?.firstBar),
    lastBar: at(facts?.lastBar),
    figures: figuresOf(result.figures),
    comparisons: result.comparisons.map((each) => ({ name: each.name, definition: each.definition, figures: figuresOf(each.figures) })),
    equity: equity.map((point) => [at(point.time), point.equity] as const),
    rejections: result.rejections.map(({ rule, count }) => ({ rule, count: Number(count) })),
  };
}

export function equityOf(point: v1.EquityPoint): EquityPoint {
  const { equity, drawdown, drawdownPct, openPositions } = point;
  return { time: at(point.time), equity, drawdown, drawdownPct, openPositions };
}
