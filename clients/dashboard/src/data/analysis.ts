/** The calls of the views Trust and State. They are apart so that the first view does not load what describes them. */

import * as v1 from "trading-signals-client";
import type { BareClient } from "trading-signals-client";

import type { BacktestRun } from "../model/backtests";
import type { Outcome } from "../model/outcomes";
import { DIMENSIONS, type Performance } from "../model/performance";
import type { EquityPoint } from "../model/types";
import { useActions } from "./actions";
import { equityOf, outcomeOf, performanceOf, runOf } from "./convert-analysis";

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

/** The service computes statistics for some seconds. */
const STATISTICS_MS = 60_000;

export class Analysis {
  private readonly accounts;
  private readonly backtests;
  private readonly models;
  private readonly outcomeService;
  private readonly signals;

  constructor(client: BareClient) {
    this.accounts = client.service(v1.AccountService);
    this.backtests = client.service(v1.BacktestService);
    this.models = client.service(v1.ModelService);
    this.outcomeService = client.service(v1.OutcomeService);
    this.signals = client.service(v1.SignalService);
  }

  /** The newest points of equity, at most `most`, the oldest first, and whether there are more. */
  async equity(by: "BAR" | "DAY", most: number): Promise<{ points: readonly EquityPoint[]; more: boolean }> {
    const points: EquityPoint[] = [];
    const resolution = v1.ListEquityRequest_Resolution[by];
    let pageToken = "";
    do {
      const page = await this.accounts.listEquity({ resolution, limit: Math.min(1_000, most), pageToken });
      points.push(...page.points.map(equityOf));
      pageToken = page.nextPageToken;
    } while (pageToken && points.length < most);
    return { points: points.reverse(), more: pageToken !== "" };
  }

  async model(): Promise<v1.GetModelInfoResponse> {
    return await this.models.getModelInfo({});
  }

  /** Look for a newer version now; true if one was taken into use. */
  async reloadModel(): Promise<boolean> {
    return (await this.models.reloadModel({})).changed;
  }

  /** Outcomes of fills at the close, the last resolved first. */
  async outcomes(shadow: boolean, limit: number, pageToken = ""): Promise<{ outcomes: readonly Outcome[]; nextToken: string }> {
    const response = await this.outcomeService.listOutcomes({ shadow, limit, pageToken, fill: v1.Outcome_Fill.CLOSE });
    return { outcomes: response.outcomes.map(outcomeOf), nextToken: response.nextPageToken };
  }

  /** Statistics of what was traded, or of every BUY and SELL of the live or the shadow model. */
  async performance(basis: "POSITIONS" | "SIGNALS", shadow: boolean): Promise<Performance> {
    const by = DIMENSIONS.map((dimension) => v1.PerformanceGroup_Dimension[dimension]);
    const request = { basis: v1.GetPerformanceRequest_Basis[basis], shadow, by };
    const { performance } = await this.signals.getPerformance(request, { timeoutMs: STATISTICS_MS });
    if (!performance) throw new Error("there are no statistics");
    return performanceOf(performance);
  }

  async explain(signalId: string): Promise<v1.Explanation> {
    const { explanation } = await this.signals.explainSignal({ signalId });
    if (!explanation) throw new Error("there is no explanation");
    return explanation;
  }

  async replay(signalId: string): Promise<v1.Replay> {
    const { replay } = await this.signals.replaySignal({ signalId });
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
    for await (const { part } of this.backtests.runBacktest(request, { signal })) {
      if (part.case === "progress") onProgress(Number(part.value.bars), Number(part.value.totalBars));
      if (part.case === "equity") equity.push(...part.value.points);
      if (part.case === "error") throw new Error(part.value.message);
      if (part.case === "result") return runOf(part.value, equity, number, title);
    }
    throw new Error("the backtest ended without a result");
  }
}

const made = new WeakMap<BareClient, Analysis>();

/** Return the calls of these views. */
export function useAnalysis(): Analysis {
  const { client } = useActions().gateway;
  const analysis = made.get(client) ?? new Analysis(client);
  made.set(client, analysis);
  return analysis;
}
