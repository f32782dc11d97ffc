/** What the caller that this page is to the service may do. */

import type { Caller } from "./types";

/** What the page does that not every role may do, by the name of the method. */
export const ACTS = {
  close: "PositionService/ClosePosition",
  halt: "AccountService/HaltTrading",
  resume: "AccountService/ResumeTrading",
  backtest: "BacktestService/RunBacktest",
  reloadModel: "ModelService/ReloadModel",
} as const;

export type Act = keyof typeof ACTS;

/** Why the caller may not do something, "" if it may. As long as it is not known, nothing is kept from it: the service decides. */
export function refusal(caller: Caller | undefined, act: Act): string {
  if (!caller || caller.methods.has(ACTS[act])) return "";
  return `Not allowed: this ${caller.credential} has the role ${caller.role}.`;
}

/** Who the page is to the service. */
export function callerText(caller: Caller | undefined): string {
  if (!caller) return "unknown";
  if (!caller.authentication) return "admin, as every caller: AUTH=off";
  return [caller.role, caller.name !== caller.role && caller.name].filter(Boolean).join(", ");
}
