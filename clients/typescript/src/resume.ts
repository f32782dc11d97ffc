/**
 * The rules of a follower: from where it resumes, when it tries again, when it gives up.
 *
 * `Resume` does no I/O and reads no clock: a follower reports what happened to its stream, and does what it returns.
 */
import { Code } from "@connectrpc/connect";

import { EpochChanged, EventsPruned, InvalidRequest, OutOfRange, type TradingSignalsError } from "./errors.js";

export const DEFAULT_HEARTBEAT_SECONDS = 15;
export const MAXIMUM_HEARTBEAT_SECONDS = 60;

/** Heartbeats in a row that may be missing before a connection is given up. */
export const SILENT_HEARTBEATS = 3;

/** An item that has a place in the event log. */
export interface Sequenced {
  readonly sequence: bigint;
}

/** How long to wait before following again: twice as long after each failure in a row, and a little at random. */
export interface Backoff {
  /** The longest wait after the first failure; 250 by default. */
  readonly firstMs?: number | undefined;
  /** The longest wait after any; 5,000 by default. */
  readonly maxMs?: number | undefined;
  /** After how long without the service its error is thrown. Without it: never. */
  readonly giveUpMs?: number | undefined;
}

/** The service has accepted the stream; what comes after `sequence` of the log `epoch` will be handed out. */
export interface Connected {
  readonly kind: "connected";
  readonly sequence: bigint;
  readonly epoch: string | undefined;
}

/** The service cannot be followed just now. It is tried again in `retryMs`; nothing is lost by it. */
export interface Disconnected {
  readonly kind: "disconnected";
  readonly error: TradingSignalsError;
  /** Failures in a row: 1 when the service has just been lost. */
  readonly attempt: number;
  readonly retryMs: number;
}

/** The log followed so far is no more, and the new one is followed from its beginning (`onNewEpoch: "start over"`). */
export interface StartedOver {
  readonly kind: "started over";
  /** Undefined if it was never known. */
  readonly oldEpoch: string | undefined;
  readonly epoch: string | undefined;
  /** How far the old one was followed. */
  readonly sequence: bigint;
}

/** Events after `sequence` are no longer kept; it goes on with `oldestSequence` (`onPruned: "skip"`). */
export interface Skipped {
  readonly kind: "skipped";
  readonly sequence: bigint;
  readonly oldestSequence: bigint;
}

/** What happened to the follower's stream. Reported between the events, in their order. */
export type Notice = Connected | Disconnected | StartedOver | Skipped;

/** Where to begin, and what to do when the log changes. Each may be left out. */
export interface ResumeOptions {
  /**
   * Go on after this sequence, such as a stored `follower.sequence`, or a list's `throughSequence`; text is read as a
   * number. Without it: from now on.
   */
  readonly resumeAfter?: bigint | number | string | undefined;
  /**
   * The log that `resumeAfter` is of, such as a stored `follower.epoch`. With it a database that was made anew meanwhile
   * is always noticed, without it only if its log is still shorter.
   */
  readonly epoch?: string | undefined;
  /** 1 to 60, 15 by default. A connection that is silent three times as long is given up. */
  readonly heartbeatSeconds?: number | undefined;
  /**
   * What to do when the log is another one than before, because the database was made anew or set back: throw
   * EpochChanged (default), or start over from the beginning of the new log.
   */
  readonly onNewEpoch?: "throw" | "start over" | undefined;
  /** What to do when events that were not seen yet are no longer kept: throw EventsPruned (default), or skip them. */
  readonly onPruned?: "throw" | "skip" | undefined;
  /** How long to wait before trying again. */
  readonly backoff?: Backoff | undefined;
}

/** The place of one follower in the log, through all its streams. */
export class Resume<T extends Sequenced> {
  readonly heartbeatSeconds: number;
  readonly #startsOver: boolean;
  readonly #skips: boolean;
  readonly #firstMs: number;
  readonly #maxMs: number;
  readonly #giveUpMs: number;
  readonly #notify: (notice: Notice) => void;
  readonly #random: () => number;
  #sequence: bigint | undefined;
  #received: bigint | undefined;
  #epoch: string | undefined;
  #pending: T[] = [];
  #next = 0;
  #connected = false;
  #failures = 0;
  #lostAt = 0;

  /**
   * @param options of the follower
   * @param notify called with each notice
   * @param random returns a number from 0 to 1, which spreads the followers
   * @throws InvalidRequest `heartbeatSeconds` is out of its bounds. The service would refuse it too, but how long a
   *   follower waits for its response follows from it.
   * @throws RangeError another option is none of those that ResumeOptions lists
   */
  constructor(options: ResumeOptions, notify: (notice: Notice) => void, random: () => number) {
    const { heartbeatSeconds = DEFAULT_HEARTBEAT_SECONDS, onNewEpoch = "throw", onPruned = "throw" } = options;
    const { firstMs = 250, maxMs = 5_000, giveUpMs = Infinity } = options.backoff ?? {};
    requireOneOf("onNewEpoch", onNewEpoch, ["throw", "start over"]);
    requireOneOf("onPruned", onPruned, ["throw", "skip"]);
    if (!(firstMs >= 0 && firstMs <= maxMs)) throw new RangeError("0 <= firstMs <= maxMs does not hold");
    if (!(giveUpMs >= 0)) throw new RangeError(`giveUpMs is 0 or more, not ${giveUpMs}`);
    requireHeartbeat(heartbeatSeconds);
    this.heartbeatSeconds = heartbeatSeconds;
    this.#startsOver = onNewEpoch === "start over";
    this.#skips = onPruned === "skip";
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#giveUpMs = giveUpMs;
    this.#notify = notify;
    this.#random = random;
    this.#sequence = this.#received = options.resumeAfter === undefined ? undefined : BigInt(options.resumeAfter);
    this.#epoch = this.#sequence === undefined ? undefined : options.epoch;
  }

  /** Everything up to here was handed out. Undefined: it has not begun yet. */
  get sequence(): bigint | undefined {
    return this.#sequence;
  }

  /** The log that `sequence` is of. Undefined: it is not known yet. */
  get epoch(): string | undefined {
    return this.#epoch;
  }

  /** Milliseconds for which a stream may be silent. */
  get patienceMs(): number {
    return SILENT_HEARTBEATS * this.heartbeatSeconds * 1_000;
  }

  /** `resume_after` of the next request. Undefined: get the newest sequence of the log first, and `begin` there. */
  get resumeAfter(): bigint | undefined {
    return this.#received;
  }

  /** Begin after `throughSequence`, the newest of the log `epoch` ("" if it is unknown). */
  begin(throughSequence: bigint, epoch: string): void {
    this.#sequence = this.#received = throughSequence;
    this.#epoch = epoch === "" ? undefined : epoch;
  }

  /**
   * Note that the service has accepted the stream, of the log `epoch` (undefined: it did not send one).
   *
   * Returns undefined if the stream is to be read. Otherwise it is of a new log: end it, and open another one after so
   * many milliseconds.
   *
   * @throws EpochChanged it is of a new log, and that is to be thrown
   */
  opened(epoch: string | undefined): number | undefined {
    if (epoch === undefined) return undefined;
    if (this.#epoch !== undefined && epoch !== this.#epoch) {
      this.#failures += 1;
      this.#newLog(epoch);
      return this.#pauseOfChange();
    }
    this.#epoch = epoch;
    this.#notifyConnected();
    return undefined;
  }

  /** Take a response: these items, complete up to `throughSequence`. Without items it is a heartbeat. */
  received(items: readonly T[], throughSequence: bigint): void {
    this.#failures = 0;
    this.#notifyConnected();
    const known = this.#received ?? 0n;
    // A service never sends an item twice. If a proxy on the way does, it is still handed out once.
    this.#pending = [...this.#pending.slice(this.#next), ...items.filter((item) => item.sequence > known)];
    this.#next = 0;
    this.#received = throughSequence > known ? throughSequence : known;
    if (this.#pending.length === 0) this.#sequence = this.#received;
  }

  /** Return the next item, which counts as handed out from now on; undefined if there is none. */
  handOut(): T | undefined {
    const item = this.#pending[this.#next];
    if (item === undefined) return undefined;
    this.#next += 1;
    this.#sequence = this.#next < this.#pending.length ? item.sequence : this.#received;
    return item;
  }

  /**
   * Note that the stream has ended; returns milliseconds to wait before the next. `now` is any clock in milliseconds.
   *
   * @throws EpochChanged EventsPruned the log has changed, and that is to be thrown
   * @throws TradingSignalsError trying again would not help, or has not helped for too long
   */
  failed(error: TradingSignalsError, now: number): number {
    if (error instanceof EpochChanged || error instanceof EventsPruned) throw error;
    this.#connected = false;
    this.#failures += 1;
    if (this.#failures === 1) this.#lostAt = now;
    if (error instanceof OutOfRange && error.reason === "SEQUENCE_PRUNED") {
      this.#pruned(error);
      return this.#pauseOfChange();
    }
    if (error instanceof OutOfRange && error.reason === "SEQUENCE_UNKNOWN") {
      this.#newLog(error.metadata["epoch"], error);
      return this.#pauseOfChange();
    }
    if (!error.retryable) throw error;
    const pause = this.#pause();
    if (now + pause - this.#lostAt > this.#giveUpMs) throw error;
    this.#notify({ kind: "disconnected", error, attempt: this.#failures, retryMs: pause });
    return pause;
  }

  #notifyConnected(): void {
    if (this.#connected) return;
    this.#connected = true;
    this.#notify({ kind: "connected", sequence: this.#received ?? 0n, epoch: this.#epoch });
  }

  #newLog(epoch: string | undefined, cause?: TradingSignalsError): void {
    const [oldEpoch, sequence] = [this.#epoch, this.#sequence ?? 0n];
    if (!this.#startsOver) throw new EpochChanged(sequence, oldEpoch, epoch, cause);
    this.#sequence = this.#received = 0n;
    this.#epoch = epoch;
    this.#connected = false;
    this.#pending = [];
    this.#next = 0;
    this.#notify({ kind: "started over", oldEpoch, epoch, sequence });
  }

  #pruned(error: OutOfRange): void {
    const sequence = this.#sequence ?? 0n;
    const oldestSequence = BigInt(error.metadata["oldest_sequence"] ?? 0);
    if (!this.#skips) throw new EventsPruned(sequence, oldestSequence, error);
    if (oldestSequence > sequence + 1n) {
      this.#sequence = this.#received = oldestSequence - 1n;
      this.#notify({ kind: "skipped", sequence, oldestSequence });
    }
  }

  #pause(): number {
    const longest = Math.min(this.#maxMs, this.#firstMs * 2 ** Math.min(this.#failures - 1, 60));
    return longest * (0.5 + 0.5 * this.#random());
  }

  /** Do not pause the first time. If the log keeps changing, requests without a pause would only be load. */
  #pauseOfChange(): number {
    return this.#failures === 1 ? 0 : this.#pause();
  }
}

function requireOneOf(name: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value)) throw new RangeError(`${name} is ${allowed.map((one) => `"${one}"`).join(" or ")}, not "${value}"`);
}

function requireHeartbeat(seconds: number): void {
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= MAXIMUM_HEARTBEAT_SECONDS) return;
  const violation = { field: "heartbeat_seconds", description: `must be from 1 to ${MAXIMUM_HEARTBEAT_SECONDS}` };
  throw new InvalidRequest(`${violation.field}: ${violation.description}`, {
    code: Code.InvalidArgument,
    reason: "INVALID_FIELD",
    violations: [violation],
  });
}
