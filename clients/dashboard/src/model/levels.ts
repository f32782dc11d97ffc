/** The levels that the headline shows: those of the open position, and apart from them what a signal proposed. */

import type { Action, Position, Signal } from "./types";

export interface Levels {
  readonly entry: number;
  readonly stop: number;
  readonly target: number;
}

export interface Held extends Levels {
  readonly action: Action;
  /** Fraction of equity. */
  readonly size: number;
  readonly since: number;
  readonly pnlPct: number;
}

export interface ShownLevels {
  /** Levels in force: those of the open position. */
  readonly held?: Held | undefined;
  /** Levels of a signal that did not open the position: they are not in force. */
  readonly proposed?: (Levels & { readonly ratio?: number | undefined; readonly size: number }) | undefined;
}

/** Return the levels in force at a signal of the same symbol, and those that it proposed without effect. */
export function shownLevels(signal: Signal, position: Position | undefined): ShownLevels {
  const { stop, target, price, ratio, size } = signal;
  const opened = position?.signalId === signal.id;
  const proposes = !opened && stop !== undefined && target !== undefined;
  return {
    held: position && { entry: position.entry, stop: position.stop, target: position.target, action: position.action, size: position.size, since: position.entryTime, pnlPct: position.pnlPct },
    proposed: proposes ? { entry: price, stop, target, ratio, size } : undefined,
  };
}
