/** A service without a network, and time without waiting. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport, type HandlerContext, type Transport } from "@connectrpc/connect";

import {
  createClientOver,
  EventSchema,
  EventService,
  SystemService,
  type Client,
  type Event,
  type EventSchema as EventSchemaType,
  type StreamEventsRequest,
} from "../src/index.js";
import { ErrorInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import type { Clock } from "../src/waits.js";

/** Waits of followers: pauses pass at once, silence only if the test says so. */
export class TestClock implements Clock {
  /** The pauses so far, in milliseconds. */
  readonly pauses: number[] = [];
  /** What each random number is. */
  chance = 1;
  #now = 0;
  #holds = false;
  readonly #silences = new Set<{ ms: number; done: () => void }>();
  readonly #held = new Set<() => void>();

  now(): number {
    return this.#now;
  }

  random(): number {
    return this.chance;
  }

  after(ms: number, done: () => void): () => void {
    if (isSilence(ms)) {
      const wait = { ms, done };
      this.#silences.add(wait);
      return () => this.#silences.delete(wait);
    }
    this.pauses.push(ms);
    if (this.#holds) {
      this.#held.add(done);
      return () => this.#held.delete(done);
    }
    const timer = setImmediate(() => {
      this.#now += ms;
      done();
    });
    return () => clearImmediate(timer);
  }

  /** Let time pass without a response. */
  silence(): void {
    for (const wait of [...this.#silences]) {
      this.#now += wait.ms;
      wait.done();
    }
  }

  /** Let pauses last until they are ended from outside. */
  holdPauses(): void {
    this.#holds = true;
  }
}

/** Pauses are at most 5 s in these tests, the timeouts of silence longer. */
function isSilence(ms: number): boolean {
  return ms > 5_000;
}

/** Entries of the log of these sequences. */
export function events(...sequences: number[]): Event[] {
  return sequences.map((sequence) => event({ sequence: BigInt(sequence), payload: { case: "signal", value: {} } }));
}

export function event(fields: MessageInitShape<typeof EventSchemaType>): Event {
  return create(EventSchema, fields);
}

/** A heartbeat at a sequence. */
export function heartbeat(sequence: number): Response {
  return { events: [event({ sequence: BigInt(sequence), payload: { case: "heartbeat", value: {} } })], through: sequence };
}

/** The entries from one sequence to another in one response. */
export function entries(first: number, last: number): Response {
  const sequences = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  return { events: events(...sequences), through: last };
}

/** An error as the service makes them. */
export function failure(code: Code, reason: string, metadata: Record<string, string> = {}): ConnectError {
  const info = { domain: "tradingsignals", reason, metadata };
  return new ConnectError(`${reason} happened`, code, undefined, [{ desc: ErrorInfoSchema, value: info }]);
}

export interface Response {
  readonly events: Event[];
  readonly through: number;
}

/** One stream of a script: what it sends, and how it ends. Without an end it stays open. */
export interface ScriptedStream {
  /** Undefined: a service that sends none. */
  readonly epoch?: string | undefined;
  readonly responses?: Iterable<Response>;
  readonly end?: ConnectError | "ok";
  /** Refuse the stream without headers. */
  readonly refusal?: ConnectError;
}

/** A service whose streams follow a script; after its end each stream stays open. */
export class ScriptedService {
  readonly requests: StreamEventsRequest[] = [];
  readonly canceled: number[] = [];
  readonly clock = new TestClock();
  connections = 0;
  /** Responses that were taken from it. */
  sent = 0;
  newest = { throughSequence: 0n, epoch: "one" };
  readonly #script: ScriptedStream[];

  constructor(...script: ScriptedStream[]) {
    this.#script = script;
  }

  client(): Client {
    const connect = () => {
      this.connections += 1;
      return { transport: this.#transport(), close: () => undefined };
    };
    return createClientOver(connect, { clock: this.clock });
  }

  #transport(): Transport {
    return createRouterTransport(({ service }) => {
      service(SystemService, { getServiceInfo: () => this.newest });
      service(EventService, { streamEvents: (request, context) => this.#stream(request, context) });
    });
  }

  async *#stream(request: StreamEventsRequest, context: HandlerContext) {
    const number = this.requests.push(request);
    const { epoch, responses = [], end, refusal } = { epoch: "one", ...this.#script[number - 1] };
    if (refusal !== undefined) throw refusal;
    if (epoch !== undefined) context.responseHeader.set("x-epoch", epoch);
    if (end === undefined) context.signal.addEventListener("abort", () => this.canceled.push(number));
    for (const response of responses) {
      this.sent += 1;
      yield { events: response.events, throughSequence: BigInt(response.through) };
    }
    if (end === "ok") return;
    if (end !== undefined) throw end;
    yield heartbeatForNow(request); // the headers of this transport wait for the first response
    await aborted(context.signal);
  }
}

/** A response without entries that does not move the sequence. */
function heartbeatForNow(request: StreamEventsRequest) {
  return { events: [], throughSequence: request.resumeAfter ?? 0n };
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** The sequences of the next so many items. */
export async function take(items: AsyncIterator<{ sequence: bigint }>, count: number): Promise<number[]> {
  const sequences: number[] = [];
  while (sequences.length < count) {
    const result = await items.next();
    if (result.done === true) break;
    sequences.push(Number(result.value.sequence));
  }
  return sequences;
}

/** Whole numbers from one to another. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
