/** Servers that have responded. Each reports itself, and nothing but its start distinguishes one from another. */

import type { Health } from "./types";

export interface Server {
  /** When its process started. */
  readonly started: number;
  readonly version: string;
  readonly symbols: number;
  readonly staleSymbols: number;
  readonly lastCommit?: number | undefined;
  readonly status: string;
  /** When it last responded, by its own clock and by that of this device. */
  readonly at: number;
  readonly responded: number;
}

export const FORGET_AFTER = 600_000;
export const MAX_SERVERS = 32;
/** Milliseconds. A server takes its time and its uptime from one reading of its clock, so that its start differs by rounding alone. */
const SAME_START = 20;

/** Note a response; servers that have not responded for long are forgotten. */
export function withResponse(servers: readonly Server[], health: Health, now: number): readonly Server[] {
  const server: Server = {
    started: health.time - health.uptimeSeconds * 1000,
    version: health.version,
    symbols: health.symbolCount,
    staleSymbols: health.staleSymbols,
    lastCommit: health.lastCommit,
    status: health.status,
    at: health.time,
    responded: now,
  };
  const others = servers.filter((other) => Math.abs(other.started - server.started) > SAME_START && health.time - other.at < FORGET_AFTER);
  return [...others, server].sort((a, b) => a.started - b.started).slice(-MAX_SERVERS);
}

/** Milliseconds after which the response of a server that is one of many says what was, not what is. */
export const RESPONSE_COUNTS_FOR = 60_000;

/** The status of a server, as far as it is known: what it said lately, or what it said last. `current`: the page gets responses. */
export function statusOf(server: Server, current: boolean, now: number): { readonly text: string; readonly known: boolean } {
  const known = current && now - server.responded <= RESPONSE_COUNTS_FOR;
  return { text: known ? server.status : `unknown, was ${server.status}`, known };
}
