/** Views and what they look at, in the hash of the address: #/live/USDCOP, #/trust/signal/<id>, #/state. */

export type View = "live" | "trust" | "state";

export interface Route {
  readonly view: View;
  /** Symbol of the live view; empty: the page chooses. */
  readonly symbol: string;
  /** Signal to explain. */
  readonly signal: string;
}

export function parseRoute(hash: string): Route {
  const [view = "", first = "", second = ""] = hash.replace(/^#\/?/, "").split("/").map(decoded);
  if (view === "trust") return { view, symbol: "", signal: first === "signal" ? second : "" };
  if (view === "state") return { view, symbol: "", signal: "" };
  return { view: "live", symbol: view === "live" ? first : "", signal: "" };
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
