/**
 * Client of the Trading Signals Service. `trading-signals-client/web` and `trading-signals-client/node` have createClient;
 * here are its types, the errors, and the messages of the contract.
 */
export { create, fromJson, toJson, toJsonString } from "@bufbuild/protobuf";
export { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
export { Code, type CallOptions, type Interceptor, type Transport } from "@connectrpc/connect";

export { createBareClientOver, type BareClient, type ClientOptions, type EventFilter } from "./bare.js";
export {
  createClientOver,
  type BarFilter,
  type Client,
  type ClosedPositionFilter,
  type FollowedPositions,
  type FollowedSignals,
  type OutcomeFilter,
  type SignalFilter,
  type SymbolFilter,
} from "./client.js";
export { DEFAULT_TIMEOUT_MS, type Connect, type Connection } from "./connection.js";
export type { KeySource } from "./credentials.js";
export * from "./errors.js";
export { Follower, type FollowerState, type FollowOptions } from "./follower.js";
export * from "./gen/v1.js";
export { KEYED, type KeyedCallOptions } from "./keyed.js";
export { Pages, type PageResponse } from "./pages.js";
export type { Backoff, Connected, Disconnected, Notice, ResumeOptions, Sequenced, Skipped, StartedOver } from "./resume.js";
export { SERVICES, type Services } from "./services.js";
