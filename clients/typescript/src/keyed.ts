/** Calls that act: each is sent with an idempotency key, and repeated with it while the service is unavailable. */
import { Code, type CallOptions } from "@connectrpc/connect";

import { CallCanceled, Unavailable } from "./errors.js";
import type { Clock } from "./waits.js";

const IDEMPOTENCY_KEY = "idempotency-key";

/** Pauses between two attempts; each is twice the one before, less a random part. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;

/** The methods that take a key, by the names of their services in the client. */
export const KEYED = {
  account: ["haltTrading", "resumeTrading"],
  positions: ["closePosition"],
  signals: ["generateSignal", "generateSignalFromDb"],
} as const;

/** Options of a call that acts. */
export interface KeyedCallOptions extends CallOptions {
  /**
   * What the service knows the call by: with the same key it is done once, also from another process. 1 to 128 visible
   * characters of ASCII without commas. By default a new one for each call.
   */
  readonly idempotencyKey?: string | undefined;
}

/** A method of connect, with the options of a call that acts. */
export type Keyed<Method> = Method extends (request: infer Request, options?: CallOptions) => infer Response
  ? (request: Request, options?: KeyedCallOptions) => Response
  : never;

type Unary = (request: never, options?: CallOptions) => Promise<unknown>;

/** Return a method that does its call once: all attempts have one key, and share the deadline of the call. */
export function doneOnce(method: Unary, timeoutMs: number, clock: Clock): Unary {
  return async (request, options: KeyedCallOptions = {}) => {
    const { idempotencyKey, ...rest } = options;
    const headers = new Headers(options.headers);
    if (idempotencyKey !== undefined || !headers.has(IDEMPOTENCY_KEY)) {
      headers.set(IDEMPOTENCY_KEY, idempotencyKey ?? newKey());
    }
    const limit = options.timeoutMs ?? timeoutMs;
    const endsAt = clock.now() + (limit === 0 ? Infinity : limit);
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      const left = endsAt - clock.now();
      try {
        return await method(request, { ...rest, headers, timeoutMs: left === Infinity ? 0 : Math.max(left, 1) });
      } catch (error) {
        if (!(error instanceof Unavailable) || pause >= endsAt - clock.now()) throw error;
      }
      await paused(pause * (0.5 + 0.5 * clock.random()), options.signal, clock);
      if (options.signal?.aborted) throw new CallCanceled("the call was cancelled", { code: Code.Canceled });
    }
  };
}

/** Wait so long, or until the call is cancelled. */
function paused(ms: number, signal: AbortSignal | undefined, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stop();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const stop = clock.after(ms, done);
    signal?.addEventListener("abort", done);
  });
}

/** A new key. `crypto.randomUUID` is not there for pages without TLS. */
function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
