/** Views and what they look at, in the hash of the address: #/live/USDCOP, #/trust/signal/<id>, #/state. */

export type View = "live" | "trust" | "state";

export interface Route {
  readonly view: View;
  /** Symbol of the live view, in its normal form; empty: the page chooses. */
  readonly symbol: string;
  /** Signal to explain. */
  readonly signal: string;
  /** The address, if it leads nowhere; then `view` is shown instead. */
  readonly unknown: string;
}

export function parseRoute(hash: string): Route {
  const path = hash.replace(/^#\/?/, "");
  const [view = "", first = "", ...rest] = path.split("/").map(decoded);
  const known = { symbol: "", signal: "", unknown: "" };
  const unknown = path.length > 40 ? `${path.slice(0, 40)}…` : path;
  if (view === "trust" && first === "signal" && rest[0] && rest.length === 1) return { ...known, view, signal: rest[0] };
  if (view === "live") return { ...known, view, symbol: normalSymbol([first, ...rest].filter(Boolean).join("/")) };
  if (view === "trust" || view === "state") return { ...known, view, unknown: first ? unknown : "" };
  return { ...known, view: "live", unknown };
}

/** The normal form of a symbol, as the service makes it: "usd/cop" is USDCOP. */
export function normalSymbol(text: string): string {
  const upper = text.toUpperCase();
  const pair = /^([A-Z]{3,5})[/_-]([A-Z]{3,5})$/.exec(upper);
  return pair ? `${pair[1]}${pair[2]}` : upper.replace(/(?<=[A-Z0-9])\/(?=[A-Z0-9])/, ".");
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}

export function liveHash(symbol: string): string {
  return symbol ? `#/live/${encodeURIComponent(symbol)}` : "#/live";
}

export function explainHash(signalId: string): string {
  return `#/trust/signal/${encodeURIComponent(signalId)}`;
}
