/** The client: every service of the contract, lists, and followers. */
import type { DescMessage, DescMethodServerStreaming, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { ConnectError, type CallOptions } from "@connectrpc/connect";

import { Calls, DEFAULT_TIMEOUT_MS, only, type Connect } from "./connection.js";
import { TradingSignalsError } from "./errors.js";
import { Follower, type FollowOptions, type Source } from "./follower.js";
import type { EquityPoint } from "./gen/tradingsignals/v1/account_pb.js";
import type { ListEquityRequestSchema, ListEquityResponse } from "./gen/tradingsignals/v1/account_service_pb.js";
import type { Bar, BarSchema } from "./gen/tradingsignals/v1/bar_pb.js";
import type { Event } from "./gen/tradingsignals/v1/event_pb.js";
import { EventService, type StreamEventsRequestSchema } from "./gen/tradingsignals/v1/event_service_pb.js";
import type {
  ListBarsRequestSchema,
  ListBarsResponse,
  PublishBarsResponse,
} from "./gen/tradingsignals/v1/market_data_service_pb.js";
import type { Outcome } from "./gen/tradingsignals/v1/outcome_pb.js";
import type { ListOutcomesRequestSchema, ListOutcomesResponse } from "./gen/tradingsignals/v1/outcome_service_pb.js";
import type { Position } from "./gen/tradingsignals/v1/position_pb.js";
import {
  PositionService,
  type ListClosedPositionsRequestSchema,
  type ListClosedPositionsResponse,
  type StreamPositionsRequestSchema,
} from "./gen/tradingsignals/v1/position_service_pb.js";
import type { Signal } from "./gen/tradingsignals/v1/signal_pb.js";
import {
  SignalService,
  type ListSignalsRequestSchema,
  type ListSignalsResponse,
  type StreamSignalsRequestSchema,
} from "./gen/tradingsignals/v1/signal_service_pb.js";
import { GetHealthResponseSchema, SystemService, type GetHealthResponse } from "./gen/tradingsignals/v1/system_service_pb.js";
import { Pages } from "./pages.js";
import { publishBars } from "./publishing.js";
import type { Sequenced } from "./resume.js";
import { servicesOver, type Services } from "./services.js";
import { SYSTEM_CLOCK, type Clock } from "./waits.js";

/** Fields of a request, without those that the client sets itself. */
type Fields<S extends DescMessage, Own extends string> = Omit<MessageInitShape<S>, Own | "$typeName" | "$unknown">;

/** A filter of signals, as in ListSignals; `limit` is the number of a page. */
export type SignalFilter = Fields<typeof ListSignalsRequestSchema, "pageToken">;
/** A filter of closed positions, as in ListClosedPositions. */
export type ClosedPositionFilter = Fields<typeof ListClosedPositionsRequestSchema, "pageToken">;
/** A filter of outcomes, as in ListOutcomes. */
export type OutcomeFilter = Fields<typeof ListOutcomesRequestSchema, "pageToken">;
/** A filter of equity, as in ListEquity. */
export type EquityFilter = Fields<typeof ListEquityRequestSchema, "pageToken">;
/** A filter of bars, as in ListBars. */
export type BarFilter = Fields<typeof ListBarsRequestSchema, "pageToken">;
/** Which events to follow: symbols, kinds, least confidence. Everything by default. */
export type EventFilter = Fields<
  typeof StreamEventsRequestSchema,
  "resumeAfter" | "heartbeatSeconds" | "startTime" | "endTime" | "speed"
>;
/** Which signals to follow. */
export type FollowedSignals = Fields<typeof StreamSignalsRequestSchema, "resumeAfter" | "heartbeatSeconds">;
/** Which positions to follow. */
export type FollowedPositions = Fields<typeof StreamPositionsRequestSchema, "resumeAfter" | "heartbeatSeconds">;

/** Settings of a client over a transport. */
export interface ClientOptions {
  /** Deadline of a call with one response, in milliseconds; 10,000 by default, 0 for none. */
  readonly timeoutMs?: number | undefined;
  /** @internal */
  readonly clock?: Clock | undefined;
}

/**
 * A client of a trading signals service.
 *
 * Every RPC is a method of its service, such as `client.signals.getLatestSignal({ symbol: "USDCOP" })`. Each throws a
 * TradingSignalsError if the call fails.
 */
export interface Client extends Services {
  /** Return the health of the service, "unhealthy" included. Throws Unavailable if there is no response. */
  health(options?: CallOptions): Promise<GetHealthResponse>;

  /** List signals, the newest first. */
  listSignals(filter?: SignalFilter, options?: CallOptions): Pages<Signal, ListSignalsResponse>;
  /** List closed positions, the last closed first. */
  listClosedPositions(
    filter?: ClosedPositionFilter,
    options?: CallOptions,
  ): Pages<Position, ListClosedPositionsResponse>;
  /** List outcomes of signals, the last resolved first. */
  listOutcomes(filter?: OutcomeFilter, options?: CallOptions): Pages<Outcome, ListOutcomesResponse>;
  /** List the equity by bar or by day, the newest first. */
  listEquity(filter?: EquityFilter, options?: CallOptions): Pages<EquityPoint, ListEquityResponse>;
  /** List stored bars, the newest first. */
  listBars(filter?: BarFilter, options?: CallOptions): Pages<Bar, ListBarsResponse>;

  /**
   * Send any number of closed bars, 500 in a call; returns once all of them are stored. Sending the same bars again is
   * harmless, so do that after an error. Bars that are refused stand in the response by their index.
   */
  publishBars(
    bars: Iterable<MessageInitShape<typeof BarSchema>> | AsyncIterable<MessageInitShape<typeof BarSchema>>,
    options?: CallOptions,
  ): Promise<PublishBarsResponse>;

  /** Follow entries of the event log, each exactly once through all failures. */
  follow(filter?: EventFilter, options?: FollowOptions): Follower<Event>;
  /** Follow signals, each exactly once through all failures. */
  followSignals(filter?: FollowedSignals, options?: FollowOptions): Follower<Signal>;
  /** Follow positions after each change, none missed through all failures. */
  followPositions(filter?: FollowedPositions, options?: FollowOptions): Follower<Position>;

  /** Close all followers, and end all calls and the connection. */
  close(): void;
}

/** Return a client over transports of one's own: `./web` and `./node` have the usual ones. */
export function createClientOver(connect: Connect, options: ClientOptions = {}): Client {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, clock = SYSTEM_CLOCK } = options;
  const connection = () => new Calls(connect(), timeoutMs);
  const calls = connection();
  const services = servicesOver(calls, clock);

  const followers = new Set<{ close(): void }>();
  const surroundings = { calls, clock, connect: connection, closed: (follower: { close(): void }) => followers.delete(follower) };

  function follower<T extends Sequenced>(source: Source<T>, following: FollowOptions = {}): Follower<T> {
    const follower = new Follower(source, following, surroundings);
    if (follower.state.status !== "closed") followers.add(follower);
    return follower;
  }

  return {
    ...services,
    health: (callOptions) => health(services, callOptions),
    listSignals: (filter, callOptions) =>
      new Pages(
        (pageToken) => services.signals.listSignals({ ...filter, pageToken }, callOptions),
        (page) => page.signals,
      ),
    listClosedPositions: (filter, callOptions) =>
      new Pages(
        (pageToken) => services.positions.listClosedPositions({ ...filter, pageToken }, callOptions),
        (page) => page.positions,
      ),
    listOutcomes: (filter, callOptions) =>
      new Pages(
        (pageToken) => services.outcomes.listOutcomes({ ...filter, pageToken }, callOptions),
        (page) => page.outcomes,
      ),
    listEquity: (filter, callOptions) =>
      new Pages(
        (pageToken) => services.account.listEquity({ ...filter, pageToken }, callOptions),
        (page) => page.points,
      ),
    listBars: (filter, callOptions) =>
      new Pages(
        (pageToken) => services.marketData.listBars({ ...filter, pageToken }, callOptions),
        (page) => page.bars,
      ),
    publishBars: (bars, callOptions) => publishBars(calls, bars, callOptions),
    follow: (filter, following) =>
      follower(
        sourceOf(EventService.method.streamEvents, filter ?? {}, (response) => entriesOf(response.events)),
        following,
      ),
    followSignals: (filter, following) =>
      follower(
        sourceOf(SignalService.method.streamSignals, filter ?? {}, (response) => response.signals),
        following,
      ),
    followPositions: (filter, following) =>
      follower(
        sourceOf(PositionService.method.streamPositions, filter ?? {}, (response) => response.positions),
        following,
      ),
    close() {
      for (const follower of followers) follower.close();
      calls.close();
    },
  };
}

async function health(services: Services, options?: CallOptions): Promise<GetHealthResponse> {
  try {
    return await services.system.getHealth({}, options);
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
function sourceOf<I extends DescMessage, O extends DescMessage, T>(
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
