/** Protections as a trader reads them. */

import { enough, integer, NONE, percent, sentence } from "./format";
import type { Protection } from "./types";

/** Names of settings that read badly; others are as they are. */
const NAMES: Readonly<Record<string, string>> = {
  TRADING_HALTED: "Halted by setting",
  HALTED_BY_HAND: "Halted by hand",
  MAX_DAILY_LOSS_PCT: "Loss of the day",
  MAX_DRAWDOWN_PCT: "Below the peak since resumed",
  COOLDOWN_AFTER_STOPS: "Stops in a row",
  MAX_OPEN_POSITIONS: "Open positions",
  MAX_EXPOSURE_PCT: "Exposure",
};

/** Name of a protection, as one reads it. */
export function protectionTitle(name: string): string {
  return NAMES[name] ?? sentence(name);
}

/** A fraction in percent, with as many decimals as a small limit needs. */
export function limitPercent(fraction: number): string {
  return percent(100 * fraction, enough(100 * fraction, 2, 0.1));
}

export interface ProtectionText {
  readonly title: string;
  readonly value: string;
  readonly limit: string;
  readonly state: string;
  readonly tone: "reached" | "free" | "off";
}

/** What a row says of a protection; `at` writes a time. */
export function protectionText({ name, unit, limit, value, reached, until }: Protection, at: (ms: number) => string): ProtectionText {
  const title = protectionTitle(name);
  if (unit === "SWITCH") return { title, value: reached ? "yes" : "no", limit: NONE, state: reached ? "in force" : "not in force", tone: reached ? "reached" : "free" };
  const write = (number: number | undefined): string => (number === undefined ? NONE : unit === "COUNT" ? integer(number) : limitPercent(number));
  if (!limit) return { title, value: NONE, limit: "off", state: "off", tone: "off" };
  const ends = until === undefined ? "" : ` until ${at(until)}`;
  return { title, value: write(value), limit: write(limit), state: reached ? `reached${ends}` : "not reached", tone: reached ? "reached" : "free" };
}

/** The protection that keeps positions from being opened now, if one does: the first that is reached. */
export function inForce(protections: readonly Protection[]): Protection | undefined {
  return protections.find(({ reached }) => reached);
}
