/** The whole state of the page, and the one function that changes it. */

import { afterChartEntries, noChart, withBarsOfPage, withClosed, withMarks, type Chart } from "./chart";
import { afterConnectionEvent, connecting, type Connection, type ConnectionEvent } from "./connection";
import { ALL, LIVE_ROWS, noRows, SCROLLED_ROWS, withLive, withPage, type Filter, type SignalRows } from "./rows";
import { afterReading, offsetOf, type ServerClock } from "./server-clock";
import { withResponse, type Server } from "./servers";
import { afterEntries, withBars, withHistory, withListed, withPositions, type Symbols } from "./symbols";
import type { Account, Bar, Caller, Health, ListedSymbol, Loadable, LogEntry, Position, ServiceInfo, Signal, TradingControl } from "./types";

export interface State {
  /** When the page was opened. */
  readonly opened: number;
  readonly connection: Connection;
  /** Undefined until the service has reported its time. */
  readonly clock?: ServerClock | undefined;
  /** Undefined until the service has reported it. */
  readonly caller?: Caller | undefined;
  readonly info: Loadable<ServiceInfo>;
  readonly health: Loadable<Health>;
  readonly servers: readonly Server[];
  readonly selected: string;
  readonly symbols: Symbols;
  /** The first page of the list of symbols has been read. */
  readonly symbolsListed: boolean;
  /** All pages of the list of symbols have been read. */
  readonly symbolsRead: boolean;
  readonly symbolsError: string;
  /** The open positions have been read. */
  readonly listed: boolean;
  readonly positionsError: string;
  readonly list: SignalRows;
  readonly listAtTop: boolean;
  readonly chart: Chart;
  readonly account: Loadable<Account>;
  /** The newest halt or resumption, and its sequence: an account that was read before it does not undo it. */
  readonly control?: TradingControl | undefined;
  readonly controlSequence: number;
  /** Grows with each outcome and closed position, so that views which list them read again. */
  readonly outcomes: number;
  /** Newest sequence applied: an entry is applied once. */
  readonly applied: number;
  /** Milliseconds from commit to here of the newest entry since the page was opened, by the clock of the service. */
  readonly streamLag?: number | undefined;
}

export type StateAction =
  | { readonly type: "connection"; readonly event: ConnectionEvent }
  | { readonly type: "entries"; readonly entries: readonly LogEntry[]; readonly now: number }
  /** The service read its clock for a response: `read`, and by this device when it was requested and received. */
  | { readonly type: "clock"; readonly sent: number; readonly read: number; readonly received: number }
  | { readonly type: "caller"; readonly caller: Caller | undefined }
  | { readonly type: "info"; readonly info: Loadable<ServiceInfo> }
  | { readonly type: "health"; readonly health: Loadable<Health> }
  | { readonly type: "account"; readonly account: Loadable<Account> }
  | { readonly type: "positions"; readonly positions: readonly Position[]; readonly through: number }
  | { readonly type: "positions failed"; readonly error: string }
  | { readonly type: "history"; readonly signals: readonly Signal[] }
  | { readonly type: "symbols"; readonly symbols: readonly ListedSymbol[]; readonly last: boolean }
  | { readonly type: "symbols failed"; readonly error: string }
  | { readonly type: "closes"; readonly symbol: string; readonly bars: readonly Bar[] }
  | { readonly type: "select"; readonly symbol: string }
  | { readonly type: "bars"; readonly symbol: string; readonly bars: readonly Bar[]; readonly older: boolean }
  | { readonly type: "bars loading"; readonly symbol: string }
  /** `unknown`: there can be no such symbol. */
  | { readonly type: "bars failed"; readonly symbol: string; readonly error: string; readonly unknown: boolean }
  | { readonly type: "symbol read"; readonly symbol: string }
  | { readonly type: "marks"; readonly symbol: string; readonly signals: readonly Signal[]; readonly closed: readonly Position[] }
  | { readonly type: "filter"; readonly filter: Filter }
  | { readonly type: "page"; readonly filter: Filter; readonly signals: readonly Signal[]; readonly nextToken: string; readonly through: number }
  | { readonly type: "page loading" }
  | { readonly type: "page failed"; readonly filter: Filter; readonly error: string }
  | { readonly type: "list top"; readonly atTop: boolean }
  | { readonly type: "begin"; readonly after: number };

export function initialState(now: number): State {
  return {
    opened: now,
    connection: connecting(now),
    info: { state: "loading" },
    health: { state: "loading" },
    servers: [],
    selected: "",
    symbols: new Map(),
    symbolsListed: false,
    symbolsRead: false,
    symbolsError: "",
    listed: false,
    positionsError: "",
    list: noRows(ALL),
    listAtTop: true,
    chart: noChart(""),
    account: { state: "loading" },
    controlSequence: 0,
    outcomes: 0,
    applied: 0,
  };
}

/** Return the state after an action. */
export function reduce(state: State, action: StateAction): State {
  switch (action.type) {
    case "connection": {
      const connection = afterConnectionEvent(state.connection, action.event);
      return { ...state, connection };
    }
    case "entries":
      return afterLog(state, action.entries, action.now);
    case "begin":
      return begun(state, action.after);
    case "clock":
      return { ...state, clock: afterReading(state.clock, action.sent, action.read, action.received) };
    case "caller":
      return { ...state, caller: action.caller };
    case "info":
      return { ...state, info: action.info };
    case "health": {
      const servers = action.health.state === "ready" ? withResponse(state.servers, action.health.value, action.health.at) : state.servers;
      return { ...state, health: action.health, servers };
    }
    case "account":
      return withAccount(state, action.account);
    case "positions":
      return { ...state, symbols: withPositions(state.symbols, action.positions, action.through), listed: true, positionsError: "" };
    case "positions failed":
      return { ...state, positionsError: action.error };
    case "history":
      return { ...state, symbols: withHistory(state.symbols, action.signals) };
    case "symbols":
      return { ...state, symbols: withListed(state.symbols, action.symbols), symbolsListed: true, symbolsRead: action.last, symbolsError: "" };
    case "symbols failed":
      return { ...state, symbolsError: action.error };
    case "closes":
      return { ...state, symbols: withBars(state.symbols, action.symbol, action.bars) };
    case "select":
      return selected(state, action.symbol);
    case "bars":
    case "bars loading":
    case "bars failed":
    case "symbol read":
    case "marks":
      return action.symbol === state.chart.symbol ? { ...state, chart: afterChart(state.chart, action) } : state;
    default:
      return { ...state, ...afterList(state, action) };
  }
}

/** Set the account; whether it is halted counts unless the stream has brought something newer. */
function withAccount(state: State, account: Loadable<Account>): State {
  const read = account.state === "ready" ? account.value : undefined;
  if (!read || read.through < state.controlSequence) return { ...state, account };
  return { ...state, account, control: read.control };
}

/** Forget what the log said, because it is another one, or entries are missing; what one looks at stays. */
function begun(state: State, after: number): State {
  const empty = initialState(state.connection.lastTick);
  return {
    ...empty,
    opened: state.opened,
    connection: { ...state.connection, through: after },
    clock: state.clock,
    caller: state.caller,
    info: state.info,
    health: state.health,
    servers: state.servers,
    selected: state.selected,
    chart: noChart(state.selected),
    list: noRows(state.list.filter),
    outcomes: state.outcomes + 1,
    applied: after,
  };
}

function afterLog(state: State, all: readonly LogEntry[], now: number): State {
  const entries = all.filter((entry) => entry.sequence > state.applied);
  const newest = entries.at(-1);
  if (!newest) return state;
  const signals = entries.flatMap((entry) => (entry.kind === "SIGNAL" ? [entry.signal] : []));
  const control = entries.findLast((entry) => entry.kind === "CONTROL");
  const outcomes = entries.some((entry) => entry.kind === "OUTCOME" || (entry.kind === "POSITION" && !entry.position.open));
  return {
    ...state,
    applied: newest.sequence,
    streamLag: lagOf(state, newest.committed, now),
    symbols: afterEntries(state.symbols, entries, state.selected, state.info.value?.through ?? 0),
    chart: afterChartEntries(state.chart, entries),
    list: withLive(state.list, signals, state.listAtTop ? LIVE_ROWS : SCROLLED_ROWS),
    ...(control?.kind === "CONTROL" && { control: control.control, controlSequence: control.sequence }),
    outcomes: outcomes ? state.outcomes + 1 : state.outcomes,
  };
}

/** Milliseconds from a commit to `now`; what was known before if the clock of the service is not, or the page is younger than the commit. */
function lagOf({ clock, opened, streamLag }: State, committed: number, now: number): number | undefined {
  const offset = offsetOf(clock);
  return clock && committed >= opened + offset ? Math.max(0, now + offset - committed) : streamLag;
}

/** The symbol that most needs to be looked at: one with a position, then the newest BUY or SELL; "": there is none. */
export function symbolToShow({ symbols, list, health }: State): string {
  const states = [...symbols.values()];
  const held = states.filter((state) => state.position).sort((a, b) => b.positionSequence - a.positionSequence)[0];
  const acted = list.filter === ALL ? list.rows.find((signal) => signal.action !== "HOLD") : undefined;
  const known = states.find((state) => state.signal || state.lastBar || state.listed);
  return held?.symbol ?? acted?.symbol ?? list.rows[0]?.symbol ?? known?.symbol ?? health.value?.symbols[0]?.symbol ?? "";
}

/** Whether everything has been read by which a symbol is chosen, so that there is none if none has been. */
export function isRead({ listed, symbolsListed, list, health }: State): boolean {
  return listed && symbolsListed && (list.read || list.error !== "") && health.state !== "loading";
}

/** Whether the service has nothing of the symbol that is looked at: no bar, no signal, no position. */
export function isUnknownSymbol({ selected: symbol, chart, symbols }: State): boolean {
  return symbol !== "" && chart.symbol === symbol && chart.read && !chart.bars.length && !symbols.has(symbol);
}

function selected(state: State, symbol: string): State {
  if (symbol === state.selected) return state;
  const symbols = new Map(state.symbols);
  const known = symbols.get(symbol);
  if (known?.unseen) symbols.set(symbol, { ...known, unseen: false });
  return { ...state, selected: symbol, symbols, chart: noChart(symbol) };
}

type ChartAction = Extract<StateAction, { type: "bars" | "bars loading" | "bars failed" | "symbol read" | "marks" }>;

function afterChart(chart: Chart, action: ChartAction): Chart {
  switch (action.type) {
    case "bars loading":
      return { ...chart, loading: true, error: "" };
    case "bars failed":
      return { ...chart, loading: false, error: action.error, read: chart.read || action.unknown };
    case "symbol read":
      return { ...chart, read: true };
    case "bars":
      return withBarsOfPage(chart, action.bars, action.older);
    case "marks":
      return withClosed(withMarks(chart, action.signals), action.closed);
  }
}

type ListAction = Extract<StateAction, { type: "filter" | "page" | "page loading" | "page failed" | "list top" }>;

function afterList(state: State, action: ListAction): Partial<State> {
  if (action.type === "filter") return { list: noRows(action.filter), listAtTop: true };
  if (action.type === "list top") return { listAtTop: action.atTop };
  if (action.type === "page loading") return { list: { ...state.list, loading: true, error: "" } };
  if (action.filter !== state.list.filter) return {};
  if (action.type === "page failed") return { list: { ...state.list, loading: false, error: action.error } };
  return { list: withPage(state.list, action.signals, action.nextToken, action.through) };
}
