/** The services of the contract, each with a method for every RPC. */
import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";

import { AccessService } from "./gen/tradingsignals/v1/access_service_pb.js";
import { AccountService } from "./gen/tradingsignals/v1/account_service_pb.js";
import { BacktestService } from "./gen/tradingsignals/v1/backtest_service_pb.js";
import { EventService } from "./gen/tradingsignals/v1/event_service_pb.js";
import { MarketDataService } from "./gen/tradingsignals/v1/market_data_service_pb.js";
import { ModelService } from "./gen/tradingsignals/v1/model_service_pb.js";
import { NotificationService } from "./gen/tradingsignals/v1/notification_service_pb.js";
import { OutcomeService } from "./gen/tradingsignals/v1/outcome_service_pb.js";
import { PositionService } from "./gen/tradingsignals/v1/position_service_pb.js";
import { SignalService } from "./gen/tradingsignals/v1/signal_service_pb.js";
import { SystemService } from "./gen/tradingsignals/v1/system_service_pb.js";
import type { KEYED, Keyed } from "./keyed.js";

/** Every service, by its name in the client. */
export const SERVICES = {
  access: AccessService,
  account: AccountService,
  backtests: BacktestService,
  events: EventService,
  marketData: MarketDataService,
  models: ModelService,
  notifications: NotificationService,
  outcomes: OutcomeService,
  positions: PositionService,
  signals: SignalService,
  system: SystemService,
} as const;

/** A client for each service: `services.signals.getLatestSignal({symbol: "USDCOP"})`. */
export type Services = { readonly [Name in keyof typeof SERVICES]: ServiceOf<Name, Client<(typeof SERVICES)[Name]>> };

/** The client of a service, whose calls that act take an idempotency key. */
type ServiceOf<Name, Methods> = {
  readonly [Method in keyof Methods]: Method extends KeyedIn<Name> ? Keyed<Methods[Method]> : Methods[Method];
};
type KeyedIn<Name> = Name extends keyof typeof KEYED ? (typeof KEYED)[Name][number] : never;

/** Return a client for each service. */
export function servicesOf(clientOf: (service: DescService) => unknown): Services {
  return Object.fromEntries(Object.entries(SERVICES).map(([name, service]) => [name, clientOf(service)])) as Services;
}
