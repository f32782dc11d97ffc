/**
 * Followers: streams that are resumed where they broke off, and items handed out exactly once.
 *
 * The rules stand in resume.ts; here they are applied to calls.
 */
import { Code, type Transport } from "@connectrpc/connect";

import type { Calls } from "./connection.js";
import { TradingSignalsError, Unavailable } from "./errors.js";
import { Resume, type Notice, type ResumeOptions, type Sequenced } from "./resume.js";
import { FollowerClosed, Interrupted, NoResponse, Waits, type Clock } from "./waits.js";

const EPOCH_HEADER = "x-epoch";

/** Whether a follower receives events, and since when. */
export interface FollowerState {
  /**
   * - connecting: a stream is being opened
   * - live: the service has accepted the stream
   * - waiting: the service could not be followed; it is tried again at `retryAt`
   * - closed: it was closed, or has thrown `reason`
   */
  readonly status: "connecting" | "live" | "waiting" | "closed";
  /** Of live: since when it is. Otherwise: since when it is not. */
  readonly since: Date;
  /** Why it is not live. Absent at the first attempt, of live, and if it was closed on purpose. */
  readonly reason?: TradingSignalsError;
  /** Failures in a row. */
  readonly attempt: number;
  /** When it is tried again, of waiting. */
  readonly retryAt?: Date;
}

/** The options of a follower; each may be left out. */
export interface FollowOptions extends ResumeOptions {
  /** Closes the follower, which ends the iteration, when it is aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Called with each change of the state, while the follower is iterated. What it throws ends the iteration. */
  readonly onState?: ((state: FollowerState) => void) | undefined;
  /** Called with each notice, between two events. What it throws ends the iteration. */
  readonly onNotice?: ((notice: Notice) => void) | undefined;
}

/** What is followed: how its stream is opened. */
export interface Source<T> {
  /** Return the newest sequence of the log, and its epoch. */
  newest(transport: Transport, signal: AbortSignal): Promise<{ throughSequence: bigint; epoch: string }>;
  /** Open a stream; the promise is resolved when the service has accepted it. */
  open(transport: Transport, resumeAfter: bigint, heartbeatSeconds: number, signal: AbortSignal): Promise<SourceStream<T>>;
}

/** A stream that the service has accepted. */
export interface SourceStream<T> {
  readonly header: Headers;
  readonly responses: AsyncIterable<{ readonly items: readonly T[]; readonly throughSequence: bigint }>;
}

/** What a follower has of its client. */
export interface Surroundings {
  readonly calls: Calls;
  readonly clock: Clock;
  /** Open a connection of its own, for when the client's is silent. */
  connect(): Calls;
  /** Note that the follower is closed. */
  closed(follower: { close(): void }): void;
}

interface OpenStream<T> {
  readonly responses: AsyncIterator<{ readonly items: readonly T[]; readonly throughSequence: bigint }>;
  readonly controller: AbortController;
}

/**
 * Items without end, each exactly once and in order, through restarts and lost connections.
 *
 * ```ts
 * const follower = client.follow({}, { resumeAfter, epoch });
 * for await (const event of follower) {
 *   handle(event);
 *   save(follower.sequence, follower.epoch);
 * }
 * ```
 *
 * Iterating throws permanent errors: EpochChanged, EventsPruned, InvalidRequest, TooLarge, AccessDenied, InternalError;
 * the follower is closed then. It is also closed by leaving the loop, by `close`, and by the AbortSignal.
 *
 * A stream is read as it is iterated: at most one response is held, and a slow loop slows the service's sender down.
 */
export class Follower<T extends Sequenced> implements AsyncIterableIterator<T> {
  readonly #source: Source<T>;
  readonly #surroundings: Surroundings;
  readonly #resume: Resume<T>;
  readonly #waits: Waits;
  readonly #clock: Clock;
  readonly #options: FollowOptions;
  readonly #items: AsyncGenerator<T, undefined>;
  readonly #onAbort = (): void => this.close();
  #calls: Calls;
  #ownCalls: Calls | undefined;
  #stream: OpenStream<T> | undefined;
  #step: Promise<void> | undefined;
  #state: FollowerState;
  #announced = false;
  #lastResponseAt: Date | undefined;

  /** @internal */
  constructor(source: Source<T>, options: FollowOptions, surroundings: Surroundings) {
    const { clock } = surroundings;
    this.#source = source;
    this.#calls = surroundings.calls;
    this.#surroundings = surroundings;
    this.#options = options;
    this.#clock = clock;
    this.#resume = new Resume<T>(options, (notice) => this.#noted(notice), () => clock.random());
    this.#waits = new Waits(clock);
    this.#state = { status: "connecting", since: new Date(clock.now()), attempt: 0 };
    this.#items = this.#iterate();
    if (options.signal?.aborted === true) this.close();
    else options.signal?.addEventListener("abort", this.#onAbort);
  }

  /**
   * Everything up to here was handed out: store it, and pass it as `resumeAfter`. Undefined: it has not begun yet.
   *
   * Heartbeats move it too, so that a quiet or narrowly filtered follower does not fall behind the retention.
   */
  get sequence(): bigint | undefined {
    return this.#resume.sequence;
  }

  /** The log that `sequence` is of: store it with it, and pass it as `epoch`. Undefined: it is not known yet. */
  get epoch(): string | undefined {
    return this.#resume.epoch;
  }

  /** Whether it receives events, and since when. */
  get state(): FollowerState {
    return this.#state;
  }

  /** When the service was last heard of: it accepted the stream, or sent a response, heartbeats included. */
  get lastResponseAt(): Date | undefined {
    return this.#lastResponseAt;
  }

  /** Wait until the service has accepted the stream, trying again as often as needed: events from now on are not missed. */
  async ready(): Promise<this> {
    while (this.#stream === undefined && !this.#waits.closed) await this.#advance();
    return this;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return this.#items.next();
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.close();
    return { done: true, value: undefined };
  }

  /** End the stream, and the iteration. */
  close(): void {
    this.#end(undefined);
  }

  /**
   * Drop the connection and try again at once, without a pause. For a page that wakes up or comes online again, which
   * would otherwise find out by the missing heartbeats.
   */
  reconnect(): void {
    this.#waits.interrupt();
  }

  async *#iterate(): AsyncGenerator<T, undefined> {
    while (!this.#waits.closed) {
      const item = this.#resume.handOut();
      if (item !== undefined) yield item;
      else await this.#advance();
    }
    return undefined;
  }

  /** Do one step; whoever calls it during a step awaits that one. */
  #advance(): Promise<void> {
    this.#step ??= this.#stepOrEnd().finally(() => (this.#step = undefined));
    return this.#step;
  }

  async #stepOrEnd(): Promise<void> {
    try {
      const pause = await this.#tryStep();
      if (pause > 0) await this.#waits.pause(pause);
    } catch (error) {
      if (error instanceof FollowerClosed || error instanceof Interrupted) return;
      this.#end(error);
      throw error;
    }
  }

  /** Open a stream, or read its next response; returns milliseconds to wait before the next step. */
  async #tryStep(): Promise<number> {
    try {
      return await (this.#stream === undefined ? this.#open() : this.#read(this.#stream));
    } catch (error) {
      if (error instanceof NoResponse || error instanceof Interrupted) return this.#reconnected(error);
      if (!(error instanceof TradingSignalsError)) throw error;
      this.#endStream();
      return this.#resume.failed(error, this.#clock.now());
    }
  }

  /** The connection may be dead without an error; a call on it would only wait again. */
  #reconnected(cause: NoResponse | Interrupted): number {
    this.#endStream();
    this.#replaceOwnCalls(this.#surroundings.connect());
    const pause = this.#resume.failed(new Unavailable(cause.message, { code: Code.Unavailable }), this.#clock.now());
    return cause instanceof Interrupted ? 0 : pause;
  }

  async #read(stream: OpenStream<T>): Promise<number> {
    const result = await this.#waits.on(stream.responses.next(), this.#resume.patienceMs);
    // No service ends a stream without an error unless an end was requested.
    if (result.done === true) throw new Unavailable("the stream ended", { code: Code.Unavailable });
    this.#lastResponseAt = new Date(this.#clock.now());
    this.#resume.received(result.value.items, result.value.throughSequence);
    return 0;
  }

  async #open(): Promise<number> {
    this.#setConnecting();
    const controller = new AbortController();
    const patienceMs = this.#resume.patienceMs;
    try {
      if (this.#resume.resumeAfter === undefined) {
        const newest = await this.#waits.on(this.#source.newest(this.#calls, controller.signal), patienceMs);
        this.#resume.begin(newest.throughSequence, newest.epoch);
      }
      const { resumeAfter = 0n, heartbeatSeconds } = this.#resume;
      const opening = this.#source.open(this.#calls, resumeAfter, heartbeatSeconds, controller.signal);
      const { header, responses } = await this.#waits.on(opening, patienceMs);
      const pause = this.#resume.opened(header.get(EPOCH_HEADER) ?? undefined);
      if (pause === undefined) {
        this.#lastResponseAt = new Date(this.#clock.now());
        this.#stream = { responses: responses[Symbol.asyncIterator](), controller };
        return 0;
      }
      controller.abort();
      return pause;
    } catch (error) {
      controller.abort();
      throw error;
    }
  }

  #noted(notice: Notice): void {
    const now = new Date(this.#clock.now());
    const since = this.#state.status === "live" ? now : this.#state.since;
    if (notice.kind === "connected") {
      this.#setState({ status: "live", since: now, attempt: 0 });
    } else if (notice.kind === "disconnected") {
      const { error: reason, attempt, retryMs } = notice;
      this.#setState({ status: "waiting", since, reason, attempt, retryAt: new Date(now.getTime() + retryMs) });
    } else if (this.#state.status === "live") {
      this.#setState({ status: "connecting", since, attempt: 0 });
    }
    this.#options.onNotice?.(notice);
  }

  #setConnecting(): void {
    if (this.#state.status === "connecting" && this.#announced) return;
    const { retryAt: _, ...rest } = this.#state;
    this.#setState({ ...rest, status: "connecting" });
  }

  #setState(state: FollowerState): void {
    this.#state = state;
    this.#announced = true;
    this.#options.onState?.(state);
  }

  #end(error: unknown): void {
    if (this.#waits.closed) return;
    this.#waits.close();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#endStream();
    this.#replaceOwnCalls(undefined);
    this.#surroundings.closed(this);
    const since = this.#state.status === "live" ? new Date(this.#clock.now()) : this.#state.since;
    const reason = error instanceof TradingSignalsError ? { reason: error } : {};
    this.#setState({ status: "closed", since, attempt: 0, ...reason });
  }

  #endStream(): void {
    this.#stream?.controller.abort();
    this.#stream = undefined;
  }

  #replaceOwnCalls(calls: Calls | undefined): void {
    this.#ownCalls?.close();
    this.#ownCalls = calls;
    if (calls !== undefined) this.#calls = calls;
  }
}
