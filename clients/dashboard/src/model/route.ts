/** Views and what they look at, in the hash of the address: #/live/USDCOP, #/trust/signal/<id>, #/state. */

export type View = "live" | "trust" | "state";

export const VIEW_NAMES: Readonly<Record<View, string>> = { live: "Live", trust: "Trust", state: "State" };

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
  const [view = "", ...rest] = decoded(path.replace(/\/$/, ""));
  const known = { symbol: "", signal: "", unknown: "" };
  const unknown = path.length > 40 ? `${path.slice(0, 40)}…` : path;
  if (view === "trust" && rest[0] === "signal" && rest[1] && rest.length === 2) return { ...known, view, signal: rest[1] };
  if (view === "live") {
    const symbol = normalSymbol(rest.join("/"));
    return symbol === undefined ? { ...known, view, unknown } : { ...known, view, symbol };
  }
  if (view === "trust" || view === "state") return { ...known, view, unknown: rest.length ? unknown : "" };
  return { ...known, view: "live", unknown };
}

/** The longest symbol that the service takes. */
const LONGEST_SYMBOL = 20;
/** The longest name before a slash that is no pair: BRK/B is BRK.B, and USDCOP/X is an address with a part too many. */
const LONGEST_SHARE = 5;

/** The normal form of a symbol, as the service makes it: "usd/cop" is USDCOP. Undefined: no symbol can have that name. */
export function normalSymbol(text: string): string | undefined {
  const upper = text.toUpperCase();
  const pair = /^([A-Z]{3,5})[/_-]([A-Z]{3,5})$/.exec(upper);
  if (pair) return `${pair[1]}${pair[2]}`;
  const [name = "", ...more] = upper.split("/");
  if (more.length > 1 || more[0] === "" || (more.length && name.length > LONGEST_SHARE)) return undefined;
  const symbol = upper.replace("/", ".");
  return symbol.length > LONGEST_SYMBOL ? undefined : symbol;
}

/** The parts of a path; none if its escapes are not those of a text. */
function decoded(path: string): readonly string[] {
  try {
    return path.split("/").map(decodeURIComponent);
  } catch {
    return [];
  }
}

export function liveHash(symbol: string): string {
  return symbol ? `#/live/${encodeURIComponent(symbol)}` : "#/live";
}

export function explainHash(signalId: string): string {
  return `#/trust/signal/${encodeURIComponent(signalId)}`;
}
