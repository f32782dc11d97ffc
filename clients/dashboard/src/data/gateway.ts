/** The calls of the first view, by the TypeScript client over gRPC-Web. Those of other views are in analysis.ts. */

import * as v1 from "trading-signals-client";
import type { BareClient } from "trading-signals-client";

import { CLOSES } from "../model/symbols";
import type { Account, Bar, Caller, Health, ListedSymbol, Loadable, Position, ServiceInfo, Signal } from "../model/types";
import type { Filter } from "../model/rows";
import { accountOf, barOf, callerOf, healthOf, infoOf, listedSymbolOf, positionOf, signalOf } from "./convert";

export interface SignalPage {
  readonly signals: readonly Signal[];
  readonly nextToken: string;
  readonly through: number;
}

/** Times from `from` on, and before `to`; without one of them there is no bound. */
export interface Period {
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

const SYMBOLS_PAGE = 500;
const ACTIONS = { BUY: v1.Signal_Action.BUY, SELL: v1.Signal_Action.SELL, HOLD: v1.Signal_Action.HOLD } as const;

function text(time: number | undefined): string {
  return time === undefined ? "" : new Date(time).toISOString();
}

export class Gateway {
  private readonly access;
  private readonly system;
  private readonly accounts;
  private readonly positionService;
  private readonly signalService;
  private readonly marketData;

  constructor(readonly client: BareClient) {
    this.access = client.service(v1.AccessService);
    this.system = client.service(v1.SystemService);
    this.accounts = client.service(v1.AccountService);
    this.positionService = client.service(v1.PositionService);
    this.signalService = client.service(v1.SignalService);
    this.marketData = client.service(v1.MarketDataService);
  }

  async info(): Promise<ServiceInfo> {
    return infoOf(await this.system.getServiceInfo({}));
  }

  /** Return what the caller may do; undefined if the service is too old to report it. */
  async caller(): Promise<Caller | undefined> {
    try {
      return callerOf(await this.access.getCaller({}));
    } catch (error) {
      if (error instanceof v1.TradingSignalsError && error.code === v1.Code.Unimplemented) return undefined;
      throw error;
    }
  }

  async health(): Promise<Health> {
    return healthOf(await this.client.health());
  }

  async account(): Promise<Account> {
    return accountOf(await this.accounts.getAccount({}));
  }

  /** Halt trading, or resume it; `by` says who. */
  async setHalted(halted: boolean, reason: string, by: string): Promise<void> {
    if (halted) await this.accounts.haltTrading({ reason, by });
    else await this.accounts.resumeTrading({ reason, by });
  }

  async positions(): Promise<{ positions: readonly Position[]; through: number }> {
    const response = await this.positionService.listActivePositions({});
    return { positions: response.positions.map(positionOf), through: Number(response.throughSequence) };
  }

  /** A page of the symbols of the service, and the token of the next one. */
  async symbols(pageToken: string): Promise<{ symbols: readonly ListedSymbol[]; nextToken: string }> {
    const response = await this.marketData.listSymbols({ limit: SYMBOLS_PAGE, closes: CLOSES, pageToken });
    return { symbols: response.symbols.map(listedSymbolOf), nextToken: response.nextPageToken };
  }

  /** Closed positions, the last closed first. */
  async closedPositions(symbol: string, limit: number, pageToken: string): Promise<{ positions: readonly Position[]; nextToken: string }> {
    const response = await this.positionService.listClosedPositions({ symbol, limit, pageToken });
    return { positions: response.positions.map(positionOf), nextToken: response.nextPageToken };
  }

  async closePosition(positionId: string): Promise<void> {
    await this.positionService.closePosition({ positionId });
  }

  async signals(filter: Omit<Filter, "minConfidence">, limit: number, pageToken = "", period: Period = {}): Promise<SignalPage> {
    const action = filter.action === "" ? {} : { action: ACTIONS[filter.action] };
    const response = await this.signalService.listSignals({ symbol: filter.symbol, ...action, limit, pageToken, startDate: text(period.from), endDate: text(period.to) });
    return {
      signals: response.signals.map((signal) => signalOf(signal)),
      nextToken: response.nextPageToken,
      through: Number(response.throughSequence),
    };
  }

  /** The newest bars, or those before a time: the oldest first, and whether there are older ones. */
  async bars(symbol: string, limit: number, before?: number): Promise<{ bars: readonly Bar[]; older: boolean }> {
    const response = await this.marketData.listBars({ symbol, limit, endDate: text(before) });
    return { bars: response.bars.map(barOf).reverse(), older: response.nextPageToken !== "" };
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
