/** Servers that have answered. Each answers for itself, and nothing but its start tells one from another. */

import type { Health } from "./types";

export interface Server {
  /** When its process started. */
  readonly started: number;
  readonly version: string;
  readonly symbols: number;
  readonly staleSymbols: number;
  readonly lastCommit?: number | undefined;
  readonly status: string;
  /** When it last answered, by its own clock. */
  readonly at: number;
}

export const FORGET_AFTER = 600_000;
export const MAX_SERVERS = 32;
const SAME_START = 1_500;

/** Note an answer; servers that have not answered for long are forgotten. */
export function withAnswer(servers: readonly Server[], health: Health): readonly Server[] {
  const server: Server = {
    started: health.time - health.uptimeSeconds * 1000,
    version: health.version,
    symbols: health.symbolCount,
    staleSymbols: health.staleSymbols,
    lastCommit: health.lastCommit,
    status: health.status,
    at: health.time,
  };
  const others = servers.filter((other) => Math.abs(other.started - server.started) > SAME_START && health.time - other.at < FORGET_AFTER);
  return [...others, server].sort((a, b) => a.started - b.started).slice(-MAX_SERVERS);
}
