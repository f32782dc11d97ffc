/** Values of the page: plain, small and immutable. Times are milliseconds since 1970, sequences are exact as numbers. */

export type Action = "BUY" | "SELL" | "HOLD";
export type Origin = "BAR" | "REQUEST" | "DATABASE" | "";

export interface Signal {
  readonly sequence: number;
  readonly id: string;
  readonly symbol: string;
  readonly action: Action;
  /** From when on it holds, by the clock of its market. */
  readonly time: number;
  /** Before which it may be acted on, by the same clock; an earlier version of the service did not say. */
  readonly validUntil?: number | undefined;
  readonly price: number;
  readonly stop?: number | undefined;
  readonly target?: number | undefined;
  readonly ratio?: number | undefined;
  /** Fraction of equity. */
  readonly size: number;
  /** 0..1. */
  readonly confidence: number;
  readonly winProbability?: number | undefined;
  readonly winCases?: number | undefined;
  readonly model: string;
  readonly modelType: string;
  readonly modelFailed: boolean;
  readonly reasons: readonly string[];
  readonly origin: Origin;
  readonly barTime?: number | undefined;
  readonly barAgeSeconds?: number | undefined;
  readonly regime: string;
  readonly trend: string;
  readonly simulated: boolean;
  readonly latencyMs: number;
  /** When it was committed, by the server's clock. Known for what came over the stream. */
  readonly committed?: number | undefined;
}

export interface Bar {
  readonly symbol: string;
  readonly time: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
  readonly interval: string;
}

export interface Position {
  readonly sequence: number;
  readonly id: string;
  readonly signalId: string;
  readonly symbol: string;
  readonly action: Action;
  readonly entryTime: number;
  readonly entry: number;
  readonly stop: number;
  readonly target: number;
  readonly size: number;
  /** At the last price while open, final once closed; in price, in percent, in account currency, in units of the risk. */
  readonly pnl: number;
  readonly pnlPct: number;
  readonly pnlAccount: number;
  readonly r: number;
  readonly price: number;
  readonly open: boolean;
  readonly exitTime?: number | undefined;
  readonly exit?: number | undefined;
  readonly exitReason: string;
  readonly barsHeld: number;
  readonly simulated: boolean;
}

/** Trading halted or resumed by hand. */
export interface TradingControl {
  readonly halted: boolean;
  readonly reason: string;
  readonly by: string;
  readonly at: number;
}

/** What keeps decisions from opening a position, and how it stands as of the newest bar. */
export interface Protection {
  /** Name of its setting. */
  readonly name: string;
  readonly unit: "FRACTION" | "COUNT" | "SWITCH";
  /** 0: off. */
  readonly limit?: number | undefined;
  readonly value?: number | undefined;
  readonly reached: boolean;
  readonly until?: number | undefined;
  /** Why it keeps positions from being opened; "" if it does not. */
  readonly reason: string;
}

/** The account that the positions of the live model make, in its currency and after costs. */
export interface Account {
  readonly currency: string;
  readonly initial: number;
  readonly equity: number;
  readonly realised: number;
  readonly unrealised: number;
  /** Sum of the sizes of open positions, as a fraction of the initial equity. */
  readonly exposure: number;
  readonly openPositions: number;
  readonly closedPositions: number;
  /** How far it is below its peak, >= 0. */
  readonly drawdown: number;
  readonly drawdownPct: number;
  readonly dayPnl: number;
  /** Market time as of which it holds. */
  readonly asOf?: number | undefined;
  readonly control: TradingControl;
  readonly protections: readonly Protection[];
  /** The log was followed up to here. */
  readonly through: number;
}

/** The account after the close of a bar, or at the end of a session. */
export interface EquityPoint {
  readonly time: number;
  readonly equity: number;
  readonly drawdown: number;
  readonly drawdownPct: number;
  readonly openPositions: number;
}

interface Entry {
  readonly sequence: number;
  readonly committed: number;
}

/** An entry of the event log. Kinds that the page does not show are OTHER; their sequence counts all the same. */
export type LogEntry =
  | (Entry & { readonly kind: "SIGNAL"; readonly signal: Signal })
  | (Entry & { readonly kind: "BAR"; readonly bar: Bar; readonly disposition: string })
  | (Entry & { readonly kind: "POSITION"; readonly position: Position })
  | (Entry & { readonly kind: "CONTROL"; readonly control: TradingControl })
  | (Entry & { readonly kind: "OUTCOME" })
  | (Entry & { readonly kind: "OTHER" });

export interface ServiceInfo {
  readonly version: string;
  readonly feed: string;
  readonly epoch: string;
  readonly through: number;
  readonly oldest: number;
  readonly intervals: readonly { readonly symbol: string; readonly interval: string }[];
}

/** A symbol of the service's list, with the newest of what is stored of it. */
export interface ListedSymbol {
  readonly symbol: string;
  readonly interval: string;
  readonly lastBarTime?: number | undefined;
  readonly lastClose?: number | undefined;
  /** The newest closes, the oldest first. */
  readonly closes: readonly number[];
  readonly action?: Action | undefined;
  /** Sequence of its newest signal. */
  readonly signalSequence?: number | undefined;
}

/** The caller that this page is to the service. */
export interface Caller {
  /** none, key, token or certificate. */
  readonly credential: string;
  readonly name: string;
  readonly role: string;
  /** What it may call, such as PositionService/ClosePosition. */
  readonly methods: ReadonlySet<string>;
  /** Whether the service requires credentials. */
  readonly authentication: boolean;
}

export interface SymbolHealth {
  readonly symbol: string;
  readonly lastBarTime?: number | undefined;
  readonly missingBars: number;
  readonly stale: boolean;
  readonly interval: string;
  readonly undecided: boolean;
}

export interface Health {
  readonly status: string;
  readonly time: number;
  readonly version: string;
  readonly modelLoaded: boolean;
  readonly databaseConnected: boolean;
  readonly uptimeSeconds: number;
  readonly signals: number;
  readonly warnings: readonly string[];
  readonly symbols: readonly SymbolHealth[];
  readonly symbolCount: number;
  readonly staleSymbols: number;
  readonly lastCommit?: number | undefined;
  /** Trading is halted, by hand or by the setting of the server that responded, and why. */
  readonly tradingHalted: boolean;
  readonly tradingHaltReason: string;
}

/** Part of the page that is read from the service. What was read before, `at` a time, stays while it is read again. */
export type Loadable<T> =
  | { readonly state: "loading"; readonly value?: T | undefined; readonly at?: number | undefined }
  | { readonly state: "ready"; readonly value: T; readonly at: number }
  | {
      readonly state: "failed";
      readonly error: string;
      /** The same call may succeed later. */
      readonly temporary: boolean;
      /** What was asked for does not exist. */
      readonly unknown: boolean;
      readonly value?: T | undefined;
      readonly at?: number | undefined;
    };
