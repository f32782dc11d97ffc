/** Messages of the contract as values of the page. */

import * as v1 from "trading-signals-client";

import type { Account, Action, Bar, Caller, Health, ListedSymbol, LogEntry, Origin, Position, Protection, ServiceInfo, Signal } from "../model/types";

interface Timestamp {
  readonly seconds: bigint;
  readonly nanos: number;
}

export function ms(time: Timestamp | undefined): number | undefined {
  return time && Number(time.seconds) * 1000 + Math.floor(time.nanos / 1e6);
}

export function at(time: Timestamp | undefined): number {
  return ms(time) ?? 0;
}

/** Name of a value of an enum; "" of the one that is not set. */
export function name<E extends Record<number, string>>(values: E, value: number | undefined): string {
  return value ? (values[value] ?? "") : "";
}

export function actionOf(value: v1.Signal_Action): Action {
  return (name(v1.Signal_Action, value) || "HOLD") as Action;
}

/** Texts that come again with each signal are kept once. */
const texts = new Map<string, string>();
export function once(text: string): string {
  const known = texts.get(text);
  if (known !== undefined) return known;
  if (texts.size > 2_000) texts.clear();
  texts.set(text, text);
  return text;
}

export function signalOf(signal: v1.Signal, committed?: number): Signal {
  return {
    sequence: Number(signal.sequence),
    id: signal.signalId,
    symbol: once(signal.symbol),
    action: actionOf(signal.action),
    time: at(signal.timestamp),
    validUntil: ms(signal.validUntil),
    price: signal.entryPrice,
    stop: signal.stopLoss,
    target: signal.takeProfit,
    ratio: signal.riskRewardRatio,
    size: signal.positionSize,
    confidence: signal.confidence,
    winProbability: signal.winProbability,
    winCases: signal.winProbabilityCases,
    model: once(signal.modelVersion),
    modelType: once(signal.modelType),
    modelFailed: signal.modelFailed,
    reasons: signal.reasoning.map(once),
    origin: name(v1.Signal_Origin, signal.origin) as Origin,
    barTime: ms(signal.barTime),
    barAgeSeconds: signal.barAgeSeconds,
    regime: name(v1.Signal_MarketRegime, signal.marketRegime),
    trend: name(v1.Signal_TrendDirection, signal.trendDirection),
    simulated: signal.simulated,
    latencyMs: signal.latencyMs,
    committed,
  };
}

export function barOf(bar: v1.Bar): Bar {
  const { open, high, low, close, volume } = bar;
  return { symbol: once(bar.symbol), time: at(bar.time), open, high, low, close, volume, interval: once(bar.interval) };
}

export function positionOf(position: v1.Position): Position {
  return {
    sequence: Number(position.sequence),
    id: position.positionId,
    signalId: position.signalId,
    symbol: once(position.symbol),
    action: actionOf(position.action),
    entryTime: at(position.entryTime),
    entry: position.entryPrice,
    stop: position.stopLoss,
    target: position.takeProfit,
    size: position.positionSize,
    pnl: position.currentPnl,
    pnlPct: position.currentPnlPct,
    pnlAccount: position.currentPnlAccount,
    r: position.rMultiple,
    price: position.currentPrice,
    open: position.status === v1.Position_Status.OPEN,
    exitTime: ms(position.exitTime),
    exit: position.exitPrice,
    exitReason: name(v1.Position_ExitReason, position.exitReason),
    barsHeld: position.barsHeld,
    simulated: position.simulated,
  };
}

export function listedSymbolOf(found: v1.SymbolSummary): ListedSymbol {
  const { interval, lastClose, closes, latestSignal: signal } = found;
  return {
    symbol: once(found.symbol),
    interval: once(interval),
    lastBarTime: ms(found.lastBarTime),
    lastClose,
    closes,
    action: signal && actionOf(signal.action),
    signalSequence: signal && Number(signal.sequence),
  };
}

/** An entry of the log; undefined for what is none. */
export function entryOf(event: v1.Event): LogEntry | undefined {
  const sequence = Number(event.sequence);
  const committed = at(event.eventTime);
  const { payload } = event;
  switch (payload.case) {
    case "signal":
      return { kind: "SIGNAL", sequence, committed, signal: signalOf(payload.value, committed) };
    case "marketUpdate":
      if (!payload.value.bar) return { kind: "OTHER", sequence, committed };
      return { kind: "BAR", sequence, committed, bar: barOf(payload.value.bar), disposition: name(v1.BarReceipt_Disposition, payload.value.disposition) };
    case "positionUpdate":
      return { kind: "POSITION", sequence, committed, position: positionOf(payload.value) };
    case "outcome":
      return { kind: "OUTCOME", sequence, committed };
    case "tradingControl": {
      const { halted, reason, by, time } = payload.value;
      return { kind: "CONTROL", sequence, committed, control: { halted, reason, by, at: at(time) } };
    }
    case "heartbeat":
    case "error":
      return undefined;
    default:
      return { kind: "OTHER", sequence, committed };
  }
}

function protectionOf({ name: key, unit, limit, value, reached, until, reason }: v1.Protection): Protection {
  return { name: key, unit: name(v1.Protection_Unit, unit) as Protection["unit"], limit, value, reached, until: ms(until), reason };
}

export function accountOf({ account, throughSequence, protections }: v1.GetAccountResponse): Account {
  if (!account) throw new Error("there is no account");
  return {
    currency: account.currency,
    initial: account.initialEquity,
    equity: account.equity,
    realised: account.realisedPnl,
    unrealised: account.unrealisedPnl,
    exposure: account.exposure,
    openPositions: account.openPositions,
    closedPositions: account.closedPositions,
    drawdown: account.drawdown,
    drawdownPct: account.drawdownPct,
    dayPnl: account.dayPnl,
    asOf: ms(account.asOf),
    control: { halted: account.tradingHalted, reason: account.haltReason, by: account.haltedBy, at: at(account.haltedAt) },
    protections: protections.map(protectionOf),
    through: Number(throughSequence),
  };
}

export function callerOf({ caller, authentication }: v1.GetCallerResponse): Caller {
  return {
    credential: caller?.credential ?? "",
    name: caller?.name ?? "",
    role: name(v1.ApiKey_Role, caller?.role).toLowerCase(),
    methods: new Set(caller?.methods.map((method) => method.slice(method.lastIndexOf(".") + 1))),
    authentication,
  };
}

export function infoOf(info: v1.GetServiceInfoResponse): ServiceInfo {
  return {
    version: info.version,
    feed: info.feed,
    epoch: info.epoch,
    through: Number(info.throughSequence),
    oldest: Number(info.oldestSequence),
    intervals: info.barIntervals.map(({ symbol, interval }) => ({ symbol, interval })),
  };
}

export function healthOf(health: v1.GetHealthResponse): Health {
  return {
    status: health.status,
    time: at(health.timestamp),
    version: health.version,
    modelLoaded: health.modelLoaded,
    databaseConnected: health.databaseConnected,
    uptimeSeconds: health.uptimeSeconds,
    signals: health.totalSignalsGenerated,
    warnings: health.warnings,
    symbols: health.symbols.map((symbol) => ({
      symbol: symbol.symbol,
      lastBarTime: ms(symbol.lastBarTime),
      missingBars: symbol.missingBars,
      stale: symbol.stale,
      interval: symbol.interval,
      undecided: symbol.undecided,
    })),
    symbolCount: health.symbolCount,
    staleSymbols: health.staleSymbols,
    lastCommit: ms(health.lastCommitTime),
    tradingHalted: health.tradingHalted,
    tradingHaltReason: health.tradingHaltReason,
  };
}
