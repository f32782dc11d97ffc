/** Resolved signals, and estimates with their number of cases and 95% interval. */

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
