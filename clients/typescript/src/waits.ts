/** The waits of one follower: each has a timeout, and can be ended from outside. */

/** Time, timers and chance. */
export interface Clock {
  /** Milliseconds since the epoch of Unix. */
  now(): number;
  /** Call `done` after so many milliseconds; returns what prevents it. */
  after(ms: number, done: () => void): () => void;
  /** A number from 0 to 1. */
  random(): number;
}

export const SYSTEM_CLOCK: Clock = {
  now: () => Date.now(),
  after: (ms, done) => {
    const timer = setTimeout(done, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};

/** The follower was closed during a wait. Never leaves the follower. */
export class FollowerClosed extends Error {}

/** The wait was interrupted so that something else is tried. Never leaves the follower. */
export class Interrupted extends Error {}

/** A stream has been silent for too long. Never leaves the follower. */
export class NoResponse extends Error {}

/** Bounds the waits of one follower, which has one at a time. */
export class Waits {
  readonly #clock: Clock;
  #closed = false;
  #interrupted = false;
  #endWait: ((error: Error) => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** End the pending wait, and all later ones, with FollowerClosed. */
  close(): void {
    this.#closed = true;
    this.#endWait?.(new FollowerClosed());
  }

  /** End the pending wait, or else the next one, with Interrupted. */
  interrupt(): void {
    if (this.#endWait === undefined) this.#interrupted = true;
    else this.#endWait(new Interrupted("a reconnect was requested"));
  }

  /**
   * Await a result.
   *
   * @throws NoResponse after `ms` milliseconds
   * @throws FollowerClosed Interrupted it was ended
   */
  on<R>(result: Promise<R>, ms: number): Promise<R> {
    const silent = () => new NoResponse(`no response for ${ms / 1_000} seconds`);
    return this.#bounded(result, ms, (end) => end(silent()));
  }

  /** Wait so long. An interruption ends it early. */
  async pause(ms: number): Promise<void> {
    let passed: () => void = () => undefined;
    const over = new Promise<void>((resolve) => (passed = resolve));
    await this.#bounded(over, ms, () => passed());
  }

  #bounded<R>(result: Promise<R>, ms: number, due: (end: (error: Error) => void) => void): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      const settle = () => {
        stop();
        if (this.#endWait === end) this.#endWait = undefined; // not that of a later wait
      };
      const end = (error: Error) => {
        settle();
        reject(error);
      };
      const stop = this.#clock.after(ms, () => due(end));
      this.#endWait = end;
      result.then(
        (value) => {
          settle();
          resolve(value);
        },
        (error: unknown) => {
          settle();
          reject(error as Error);
        },
      );
      if (this.#closed) end(new FollowerClosed());
      else if (this.#interrupted) {
        this.#interrupted = false;
        end(new Interrupted("a reconnect was requested"));
      }
    });
  }
}
