/** A client of the services that its caller names, for pages that count their bytes. */
import type { DescMessage, DescMethodServerStreaming, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { ConnectError, type CallOptions, type Client as ServiceClient } from "@connectrpc/connect";

import { Calls, DEFAULT_TIMEOUT_MS, only, type Connect } from "./connection.js";
import { TradingSignalsError } from "./errors.js";
import { Follower, type FollowOptions, type Source } from "./follower.js";
import type { Event } from "./gen/tradingsignals/v1/event_pb.js";
import { EventService, type StreamEventsRequestSchema } from "./gen/tradingsignals/v1/event_service_pb.js";
import { GetHealthResponseSchema, SystemService, type GetHealthResponse } from "./gen/tradingsignals/v1/system_service_pb.js";
import type { Sequenced } from "./resume.js";
import { clientOf } from "./service-client.js";
import { SYSTEM_CLOCK, type Clock } from "./waits.js";

/** Fields of a request, without those that the client sets itself. */
export type Fields<S extends DescMessage, Own extends string> = Omit<MessageInitShape<S>, Own | "$typeName" | "$unknown">;

/** Which events to follow: symbols, kinds, least confidence. Everything by default. */
export type EventFilter = Fields<
  typeof StreamEventsRequestSchema,
  "resumeAfter" | "heartbeatSeconds" | "startTime" | "endTime" | "speed"
>;

/** Settings of a client over a transport. */
export interface ClientOptions {
  /** Deadline of a call with one response, in milliseconds; 10,000 by default, 0 for none. */
  readonly timeoutMs?: number | undefined;
  /** @internal */
  readonly clock?: Clock | undefined;
}

/**
 * A client without the services: `client.service(SignalService)` gives the one of a service. What is not named is not in
 * the bundle of a page. Calls throw a TradingSignalsError if they fail.
 */
export interface BareClient {
  /** Return a client of a service, such as SignalService, over the connection of this one. */
  service<S extends DescService>(service: S): ServiceClient<S>;
  /** Return the health of the service, "unhealthy" included. Throws Unavailable if there is no response. */
  health(options?: CallOptions): Promise<GetHealthResponse>;
  /** Follow entries of the event log, each exactly once through all failures. */
  follow(filter?: EventFilter, options?: FollowOptions): Follower<Event>;
  /** Close all followers, and end all calls and the connection. */
  close(): void;
}

/** What a client of all services is made of besides. */
export interface Parts {
  readonly client: BareClient;
  readonly calls: Calls;
  /** Follow the entries of a source. */
  follower<T extends Sequenced>(source: Source<T>, following?: FollowOptions): Follower<T>;
}

/** Return a client without the services, over transports of one's own. */
export function createBareClientOver(connect: Connect, options: ClientOptions = {}): BareClient {
  return partsOver(connect, options).client;
}

/** @internal */
export function partsOver(connect: Connect, options: ClientOptions): Parts {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, clock = SYSTEM_CLOCK } = options;
  const connection = () => new Calls(connect(), timeoutMs);
  const calls = connection();
  const followers = new Set<{ close(): void }>();
  const surroundings = { calls, clock, connect: connection, closed: (follower: { close(): void }) => followers.delete(follower) };

  function follower<T extends Sequenced>(source: Source<T>, following: FollowOptions = {}): Follower<T> {
    const follower = new Follower(source, following, surroundings);
    if (follower.state.status !== "closed") followers.add(follower);
    return follower;
  }

  const client: BareClient = {
    service: (service) => clientOf(service, calls, clock),
    health: (callOptions) => health(client.service(SystemService), callOptions),
    follow: (filter, following) =>
      follower(
        sourceOf(EventService.method.streamEvents, filter ?? {}, (response) => entriesOf(response.events)),
        following,
      ),
    close() {
      for (const each of followers) each.close();
      calls.close();
    },
  };
  return { client, calls, follower };
}

async function health(system: ServiceClient<typeof SystemService>, options?: CallOptions): Promise<GetHealthResponse> {
  try {
    return await system.getHealth({}, options);
  } catch (error) {
    const cause = error instanceof TradingSignalsError ? error.cause : undefined;
    const [report] = cause instanceof ConnectError ? cause.findDetails(GetHealthResponseSchema) : [];
    if (report === undefined) throw error;
    return report;
  }
}

/** The entries of the log in a response: neither heartbeats nor the error with which the call ends too. */
function entriesOf(events: readonly Event[]): Event[] {
  return events.filter((event) => event.payload.case !== "heartbeat" && event.payload.case !== "error");
}

/** The source of a streaming method: its request complete but for where to resume. */
export function sourceOf<I extends DescMessage, O extends DescMessage, T>(
  method: DescMethodServerStreaming<I, O>,
  filter: object,
  itemsOf: (response: MessageShape<O>) => readonly T[],
): Source<T> {
  return {
    async newest(transport, signal) {
      const { message } = await transport.unary(SystemService.method.getServiceInfo, signal, 0, undefined, {});
      return message;
    },
    async open(transport, resumeAfter, heartbeatSeconds, signal) {
      const fields: object = { ...filter, resumeAfter, heartbeatSeconds };
      const request = create(method.input, fields as MessageInitShape<I>);
      const { header, message } = await transport.stream(method, signal, 0, undefined, only(request));
      return { header, responses: itemsIn(message, itemsOf) };
    },
  };
}

async function* itemsIn<R, T>(responses: AsyncIterable<R>, itemsOf: (response: R) => readonly T[]) {
  for await (const response of responses) {
    yield { items: itemsOf(response), throughSequence: (response as { throughSequence: bigint }).throughSequence };
  }
}
