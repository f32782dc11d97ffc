/** The calls of the page, by the TypeScript client over gRPC-Web. */

import * as v1 from "trading-signals-client";
import type { Client } from "trading-signals-client";

import type { BacktestRun } from "../model/backtests";
import type { Outcome } from "../model/outcomes";
import { DIMENSIONS, type Performance } from "../model/performance";
import type { Account, Bar, EquityPoint, Health, Loadable, Position, ServiceInfo, Signal } from "../model/types";
import type { Filter } from "../model/rows";
import { accountOf, barOf, equityOf, healthOf, infoOf, outcomeOf, performanceOf, positionOf, runOf, signalOf } from "./convert";

export interface BacktestRequest {
  /** Empty: all. */
  readonly symbol: string;
  /** Dates; empty: no bound. */
  readonly start: string;
  readonly end: string;
  /** Empty: the newest. */
  readonly version: string;
  /** Empty: as it is. */
  readonly threshold: string;
  readonly compare: boolean;
}

export interface SignalPage {
  readonly signals: readonly Signal[];
  readonly nextToken: string;
  readonly through: number;
}

const ACTIONS = { BUY: v1.Signal_Action.BUY, SELL: v1.Signal_Action.SELL, HOLD: v1.Signal_Action.HOLD } as const;

/** The service computes statistics for some seconds. */
const STATISTICS_MS = 60_000;

export class Gateway {
  constructor(readonly client: Client) {}

  async info(): Promise<ServiceInfo> {
    return infoOf(await this.client.system.getServiceInfo({}));
  }

  async health(): Promise<Health> {
    return healthOf(await this.client.health());
  }

  async account(): Promise<Account> {
    return accountOf(await this.client.account.getAccount({}));
  }

  /** Halt trading, or resume it; `by` says who. */
  async setHalted(halted: boolean, reason: string, by: string): Promise<void> {
    if (halted) await this.client.account.haltTrading({ reason, by });
    else await this.client.account.resumeTrading({ reason, by });
  }

  /** The newest points of equity, at most `most`, the oldest first, and whether there are more. */
  async equity(by: "BAR" | "DAY", most: number): Promise<{ points: readonly EquityPoint[]; more: boolean }> {
    const points: EquityPoint[] = [];
    const resolution = v1.ListEquityRequest_Resolution[by];
    let pageToken = "";
    do {
      const page = await this.client.account.listEquity({ resolution, limit: Math.min(1_000, most), pageToken });
      points.push(...page.points.map(equityOf));
      pageToken = page.nextPageToken;
    } while (pageToken && points.length < most);
    return { points: points.reverse(), more: pageToken !== "" };
  }

  async model(): Promise<v1.GetModelInfoResponse> {
    return await this.client.models.getModelInfo({});
  }

  /** Look for a newer version now; true if one was taken into use. */
  async reloadModel(): Promise<boolean> {
    return (await this.client.models.reloadModel({})).changed;
  }

  async positions(): Promise<{ positions: readonly Position[]; through: number }> {
    const response = await this.client.positions.listActivePositions({});
    return { positions: response.positions.map(positionOf), through: Number(response.throughSequence) };
  }

  async closedPositions(symbol: string, limit: number): Promise<readonly Position[]> {
    return (await this.client.positions.listClosedPositions({ symbol, limit })).positions.map(positionOf);
  }

  /** Outcomes of fills at the close, the last resolved first. */
  async outcomes(shadow: boolean, limit: number, pageToken = ""): Promise<{ outcomes: readonly Outcome[]; nextToken: string }> {
    const response = await this.client.outcomes.listOutcomes({ shadow, limit, pageToken, fill: v1.Outcome_Fill.CLOSE });
    return { outcomes: response.outcomes.map(outcomeOf), nextToken: response.nextPageToken };
  }

  /** Statistics of what was traded, or of every BUY and SELL of the live or the shadow model. */
  async performance(basis: "POSITIONS" | "SIGNALS", shadow: boolean): Promise<Performance> {
    const by = DIMENSIONS.map((dimension) => v1.PerformanceGroup_Dimension[dimension]);
    const request = { basis: v1.GetPerformanceRequest_Basis[basis], shadow, by };
    const { performance } = await this.client.signals.getPerformance(request, { timeoutMs: STATISTICS_MS });
    if (!performance) throw new Error("there are no statistics");
    return performanceOf(performance);
  }

  async explain(signalId: string): Promise<v1.Explanation> {
    const { explanation } = await this.client.signals.explainSignal({ signalId });
    if (!explanation) throw new Error("there is no explanation");
    return explanation;
  }

  async replay(signalId: string): Promise<v1.Replay> {
    const { replay } = await this.client.signals.replaySignal({ signalId });
    if (!replay) throw new Error("there is no replay");
    return replay;
  }

  /** Run a backtest; `onProgress` gets the bars that are done, and all. */
  async backtest(wanted: BacktestRequest, number: number, title: string, onProgress: (bars: number, total: number) => void, signal: AbortSignal): Promise<BacktestRun> {
    const equity: v1.BacktestEquityPoint[] = [];
    const request = {
      symbols: wanted.symbol ? [wanted.symbol] : [],
      startDate: wanted.start,
      endDate: wanted.end,
      modelVersion: wanted.version,
      settings: wanted.threshold ? [`CONFIDENCE_THRESHOLD=${wanted.threshold}`] : [],
      compare: wanted.compare,
    };
    for await (const { part } of this.client.backtests.runBacktest(request, { signal })) {
      if (part.case === "progress") onProgress(Number(part.value.bars), Number(part.value.totalBars));
      if (part.case === "equity") equity.push(...part.value.points);
      if (part.case === "error") throw new Error(part.value.message);
      if (part.case === "result") return runOf(part.value, equity, number, title);
    }
    throw new Error("the backtest ended without a result");
  }

  async closePosition(positionId: string): Promise<void> {
    await this.client.positions.closePosition({ positionId });
  }

  async signals(filter: Omit<Filter, "minConfidence">, limit: number, pageToken = "", startDate = ""): Promise<SignalPage> {
    const action = filter.action === "" ? {} : { action: ACTIONS[filter.action] };
    const response = await this.client.signals.listSignals({ symbol: filter.symbol, ...action, limit, pageToken, startDate });
    return {
      signals: response.signals.map((signal) => signalOf(signal)),
      nextToken: response.nextPageToken,
      through: Number(response.throughSequence),
    };
  }

  /** Bars, the oldest first, and the token of the page of older ones. */
  async bars(symbol: string, limit: number, pageToken = ""): Promise<{ bars: readonly Bar[]; nextToken: string }> {
    const response = await this.client.marketData.listBars({ symbol, limit, pageToken });
    return { bars: response.bars.map(barOf).reverse(), nextToken: response.nextPageToken };
  }
}

/** An error as a sentence. */
export function sentenceOf(error: unknown): string {
  // Without a reason the service itself was not reached; what browser and proxies say of it differs, and helps no trader.
  if (error instanceof v1.DeadlineExceeded && !error.reason) return "The service did not respond in time";
  if (error instanceof v1.Unavailable && !error.reason) return "The service does not respond";
  const text = error instanceof Error ? error.message : String(error);
  return text ? text.charAt(0).toUpperCase() + text.slice(1) : "Unknown error";
}

/** Whether the same call may succeed later. */
export function isTemporary(error: unknown): boolean {
  return error instanceof v1.TradingSignalsError && error.retryable;
}

/** Whether what was asked for does not exist, or has a name that nothing can have. */
export function isUnknown(error: unknown): boolean {
  return error instanceof v1.NotFound || error instanceof v1.InvalidRequest;
}

/** Whether the service does not accept the caller's key. */
export function isDenied(error: unknown): boolean {
  return error instanceof v1.AccessDenied && error.code === v1.Code.Unauthenticated;
}

/** Return what is known of something that could not be read. */
export function failedWith<T>(error: unknown, before: Loadable<T>): Loadable<T> {
  return { state: "failed", error: sentenceOf(error), temporary: isTemporary(error), unknown: isUnknown(error), value: before.value, at: before.at };
}
