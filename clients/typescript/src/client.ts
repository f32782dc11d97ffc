/** The client: every service of the contract, lists, and followers. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CallOptions } from "@connectrpc/connect";

import { partsOver, sourceOf, type BareClient, type ClientOptions, type Fields } from "./bare.js";
import type { Connect } from "./connection.js";
import type { Follower, FollowOptions } from "./follower.js";
import type { EquityPoint } from "./gen/tradingsignals/v1/account_pb.js";
import type { ListEquityRequestSchema, ListEquityResponse } from "./gen/tradingsignals/v1/account_service_pb.js";
import type { Bar, BarSchema } from "./gen/tradingsignals/v1/bar_pb.js";
import type {
  ListBarsRequestSchema,
  ListBarsResponse,
  ListSymbolsRequestSchema,
  ListSymbolsResponse,
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
import type { SymbolSummary } from "./gen/tradingsignals/v1/symbol_pb.js";
import { Pages } from "./pages.js";
import { publishBars } from "./publishing.js";
import { servicesOf, type Services } from "./services.js";

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
/** Which symbols to list, and how many closes of each, as in ListSymbols. */
export type SymbolFilter = Fields<typeof ListSymbolsRequestSchema, "pageToken">;
/** Which signals to follow. */
export type FollowedSignals = Fields<typeof StreamSignalsRequestSchema, "resumeAfter" | "heartbeatSeconds">;
/** Which positions to follow. */
export type FollowedPositions = Fields<typeof StreamPositionsRequestSchema, "resumeAfter" | "heartbeatSeconds">;

/**
 * A client of a trading signals service.
 *
 * Every RPC is a method of its service, such as `client.signals.getLatestSignal({ symbol: "USDCOP" })`. Each throws a
 * TradingSignalsError if the call fails.
 */
export interface Client extends Services, BareClient {
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
  /** List the symbols of the service by name, each with its newest bar, newest signal and open position. */
  listSymbols(filter?: SymbolFilter, options?: CallOptions): Pages<SymbolSummary, ListSymbolsResponse>;

  /**
   * Send any number of closed bars, 500 in a call; returns once all of them are stored. Sending the same bars again is
   * harmless, so do that after an error. Bars that are refused stand in the response by their index.
   */
  publishBars(
    bars: Iterable<MessageInitShape<typeof BarSchema>> | AsyncIterable<MessageInitShape<typeof BarSchema>>,
    options?: CallOptions,
  ): Promise<PublishBarsResponse>;

  /** Follow signals, each exactly once through all failures. */
  followSignals(filter?: FollowedSignals, options?: FollowOptions): Follower<Signal>;
  /** Follow positions after each change, none missed through all failures. */
  followPositions(filter?: FollowedPositions, options?: FollowOptions): Follower<Position>;
}

/** Return a client over transports of one's own: `./web` and `./node` have the usual ones. */
export function createClientOver(connect: Connect, options: ClientOptions = {}): Client {
  const { client, calls, follower } = partsOver(connect, options);
  const services = servicesOf(client.service);
  return {
    ...services,
    ...client,
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
    listSymbols: (filter, callOptions) =>
      new Pages(
        (pageToken) => services.marketData.listSymbols({ ...filter, pageToken }, callOptions),
        (page) => page.symbols,
      ),
    publishBars: (bars, callOptions) => publishBars(calls, bars, callOptions),
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
  };
}
