/** State of the page's one stream, as a pure function of what happened to it. */

import { counted } from "./format";

/** "denied": the service does not accept the key of the page, so nothing is asked for until there is another one. */
export type Phase = "connecting" | "live" | "stale" | "reconnecting" | "offline" | "denied";

/** Milliseconds without a response after which the page is stale. Heartbeats are asked for every five seconds. */
export const STALE_AFTER = 8_000;
/** Milliseconds for which what is read each five seconds counts as current. */
export const READ_FOR = 15_000;
/** Milliseconds between two ticks, which come each second, after which a page in sight must have slept. */
export const SLEEP_GAP = 8_000;
/** Milliseconds by which a tick is before the last one when the clock of this device was set back. */
export const CLOCK_STEP = 1_000;
/** How long the report of a resumed stream is shown. */
export const REPORT_FOR = 12_000;
/** How long it is shown that the log is another one, or lacks entries. */
export const GAP_FOR = 60_000;

/** Why a page is stale whose stream is open. */
export const SILENT = "The service is silent";

export interface Connection {
  readonly phase: Phase;
  /** When the phase began. */
  readonly since: number;
  /** When the last response, a heartbeat included, came. */
  readonly lastResponse?: number | undefined;
  readonly lastTick: number;
  /** `through` at the last tick. After a sleep what was received meanwhile may be read before the next one. */
  readonly tickThrough: number;
  /** Why the stream broke. */
  readonly error: string;
  /** Sequence up to which everything has come. */
  readonly through: number;
  /** `through` and time of the break, until the stream has caught up. */
  readonly broken?: { readonly through: number; readonly at: number } | undefined;
  /** What the last break came to. */
  readonly report?: { readonly text: string; readonly until: number; readonly gap: boolean } | undefined;
}

export type ConnectionEvent =
  | { readonly type: "opened"; readonly now: number; readonly newest?: number }
  | { readonly type: "response"; readonly now: number; readonly through: number }
  | { readonly type: "lost"; readonly now: number; readonly error: string; readonly online: boolean }
  /** `error`: why the key is not accepted, "" if there is none. */
  | { readonly type: "denied"; readonly now: number; readonly error: string }
  | { readonly type: "admitted"; readonly now: number }
  | { readonly type: "skipped"; readonly now: number; readonly from: number; readonly oldest: number }
  | { readonly type: "restarted"; readonly now: number; readonly through: number }
  | { readonly type: "frozen"; readonly now: number }
  | { readonly type: "network"; readonly now: number; readonly online: boolean }
  /** `hidden`: the page is not in sight, where timers run late. */
  | { readonly type: "tick"; readonly now: number; readonly hidden?: boolean };

export function connecting(now: number): Connection {
  return { phase: "connecting", since: now, lastTick: now, tickThrough: 0, error: "", through: 0 };
}

function to(phase: Phase, connection: Connection, now: number): Connection {
  return connection.phase === phase ? connection : { ...connection, phase, since: now };
}

function broken(connection: Connection, at: number, through = connection.through): Connection {
  return connection.broken || connection.phase === "connecting" ? connection : { ...connection, broken: { through, at } };
}

/** Return the connection after the event. */
export function afterConnectionEvent(connection: Connection, event: ConnectionEvent): Connection {
  switch (event.type) {
    case "opened":
      return { ...connection, error: "" };
    case "response": {
      // A heartbeat is noted at the next tick: by then the stream that brought it may have ended.
      const before = connection.phase === "denied" || (connection.phase !== "live" && event.now < connection.since);
      return before ? connection : responded(connection, event.now, event.through);
    }
    case "lost": {
      const lost = broken(connection, connection.lastResponse ?? event.now);
      return { ...to(event.online ? "reconnecting" : "offline", lost, event.now), error: event.error };
    }
    case "denied":
      return { ...to("denied", broken(connection, connection.lastResponse ?? event.now), event.now), error: event.error };
    case "admitted":
      return { ...to(connection.lastResponse === undefined ? "connecting" : "reconnecting", connection, event.now), error: "" };
    case "skipped": {
      const text = `Entries ${event.from + 1} to ${event.oldest - 1} are no longer kept: lists were read again`;
      return { ...connection, broken: undefined, report: { text, until: event.now + GAP_FOR, gap: true } };
    }
    case "restarted":
      return {
        ...connection,
        through: event.through,
        broken: undefined,
        report: { text: "The database was made anew: everything was read again", until: event.now + GAP_FOR, gap: true },
      };
    case "frozen":
      return connection.phase === "live" ? to("stale", broken(connection, connection.lastResponse ?? event.now), event.now) : connection;
    case "network":
      return afterNetwork(connection, event.now, event.online);
    case "tick":
      return afterTick(connection, event.now, event.hidden === true);
  }
}

function responded(connection: Connection, now: number, through: number): Connection {
  const live = { ...to("live", connection, now), lastResponse: now, error: "", through: Math.max(through, connection.through) };
  if (!connection.broken) return live;
  const entries = live.through - connection.broken.through;
  const seconds = Math.max(1, Math.round((now - connection.broken.at) / 1000));
  const text = `Caught up after ${seconds} s: ${counted(entries, "entry", "entries")}, none missing`;
  return { ...live, broken: undefined, report: { text, until: now + REPORT_FOR, gap: false } };
}

function afterNetwork(connection: Connection, now: number, online: boolean): Connection {
  if (online) return connection.phase === "offline" ? to("reconnecting", connection, now) : connection;
  // The network of this device is not needed to reach a service on it, so only a stream that is lost is offline.
  return connection.phase === "reconnecting" ? to("offline", connection, now) : connection;
}

/** Return the connection with no time that is to come: the clock of this device was set back, and nothing else tells how long anything takes. */
function afterStepBack(connection: Connection, now: number): Connection {
  const { lastResponse, report } = connection;
  return {
    ...connection,
    since: Math.min(connection.since, now),
    lastResponse: lastResponse === undefined ? undefined : Math.min(lastResponse, now),
    broken: connection.broken && { ...connection.broken, at: Math.min(connection.broken.at, now) },
    report: report && { ...report, until: Math.min(report.until, now + (report.gap ? GAP_FOR : REPORT_FOR)) },
  };
}

function afterTick(before: Connection, now: number, hidden: boolean): Connection {
  const steppedBack = now < before.lastTick - CLOCK_STEP;
  const connection = steppedBack ? afterStepBack(before, now) : before;
  // What was received before a sleep may be read after it, so only a new connection tells.
  const slept = steppedBack || (!hidden && now - connection.lastTick > SLEEP_GAP);
  const last = connection.lastResponse;
  const silent = last !== undefined && now - last > STALE_AFTER;
  let next: Connection = { ...connection, lastTick: now, tickThrough: connection.through };
  if (next.report && now > next.report.until) next = { ...next, report: undefined };
  if (connection.phase === "live" && (silent || slept)) {
    const at = slept ? Math.min(last ?? now, connection.lastTick) : (last ?? now);
    const why = steppedBack ? "The clock of this device was set back" : slept ? "This page slept" : SILENT;
    next = { ...to("stale", broken(next, at, connection.tickThrough), at), error: why };
  }
  return next;
}

/** Whether what is drawn may be trusted to be current. */
export function isCurrent(connection: Connection): boolean {
  return connection.phase === "live" || connection.phase === "connecting";
}

/** Whether what was read `at` a time is current: the page is, and it was read lately. */
export function isKnownNow(connection: Connection, at: number | undefined, now: number): boolean {
  return isCurrent(connection) && at !== undefined && now - at <= READ_FOR && now - at > -CLOCK_STEP;
}

export interface StripText {
  readonly text: string;
  readonly tone: "good" | "bad";
}

/** What is wrong with the stream, or what its last break came to; `at` writes a time. */
export function stripText(connection: Connection, at: (ms: number) => string): StripText | undefined {
  const { phase, lastResponse, since, report, error } = connection;
  const why = error && `: ${error.charAt(0).toLowerCase()}${error.slice(1)}`;
  const silence = `No data since ${at(lastResponse ?? since)}`;
  switch (phase) {
    case "live":
      return report && { text: report.text, tone: report.gap ? "bad" : "good" };
    case "connecting":
      return error ? { text: `Cannot connect${why}.`, tone: "bad" } : undefined;
    case "denied":
      return undefined; // the form for the key says it
    case "stale":
      return { text: `${silence}${why}. Everything below may be old.`, tone: "bad" };
    default: {
      const what = `${phase === "offline" ? "This device is offline" : "Reconnecting"} since ${at(since)}${why}.`;
      return { text: lastResponse === undefined ? what : `${silence}, everything below is as of then. ${what}`, tone: "bad" };
    }
  }
}
