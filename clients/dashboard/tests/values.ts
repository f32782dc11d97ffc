/** Values for tests, complete but for what a test is about. */

import type { Account, Bar, LogEntry, Position, Signal } from "../src/model/types";

export const T0 = Date.UTC(2025, 5, 30, 13, 0);
export const FIVE = 300_000;

export function signal(sequence: number, changes: Partial<Signal> = {}): Signal {
  return {
    sequence,
    id: `id-${sequence}`,
    symbol: "USDCOP",
    action: "BUY",
    time: T0 + sequence * FIVE,
    price: 4000,
    size: 0.02,
    confidence: 0.9,
    model: "2.0.0",
    modelType: "PPO-LSTM",
    modelFailed: false,
    reasons: ["Model confidence: 90.0%"],
    origin: "BAR",
    regime: "",
    trend: "",
    simulated: false,
    latencyMs: 0.2,
    ...changes,
  };
}

export function bar(index: number, changes: Partial<Bar> = {}): Bar {
  return { symbol: "USDCOP", time: T0 + index * FIVE, open: 1, high: 2, low: 0.5, close: 1 + index, volume: 0, interval: "5m", ...changes };
}

export function position(sequence: number, changes: Partial<Position> = {}): Position {
  return {
    sequence,
    id: "p1",
    signalId: "id-1",
    symbol: "USDCOP",
    action: "BUY",
    entryTime: T0,
    entry: 4000,
    stop: 3990,
    target: 4015,
    size: 0.02,
    pnl: 1,
    pnlPct: 0.1,
    pnlAccount: 2,
    r: 0.1,
    price: 4001,
    open: true,
    exitReason: "",
    barsHeld: 1,
    simulated: false,
    ...changes,
  };
}

export function account(changes: Partial<Account> = {}): Account {
  return {
    currency: "USD",
    initial: 100_000,
    equity: 100_000,
    realised: 0,
    unrealised: 0,
    exposure: 0,
    openPositions: 0,
    closedPositions: 0,
    drawdown: 0,
    drawdownPct: 0,
    dayPnl: 0,
    control: { halted: false, reason: "", by: "", at: 0 },
    protections: [],
    through: 0,
    ...changes,
  };
}

export function signalEntry(value: Signal): LogEntry {
  return { kind: "SIGNAL", sequence: value.sequence, committed: T0, signal: value };
}

export function barEntry(sequence: number, value: Bar, disposition = "ACCEPTED"): LogEntry {
  return { kind: "BAR", sequence, committed: T0, bar: value, disposition };
}

export function positionEntry(value: Position): LogEntry {
  return { kind: "POSITION", sequence: value.sequence, committed: T0, position: value };
}
