/** The services of the contract, each with a method for every RPC. */
import type { DescMessage, DescMethodServerStreaming, DescService, Message, MessageInitShape } from "@bufbuild/protobuf";
import { createClient, type CallOptions, type Client, type Transport } from "@connectrpc/connect";

import { only, type Calls } from "./connection.js";
import { AccessService } from "./gen/tradingsignals/v1/access_service_pb.js";
import { AccountService } from "./gen/tradingsignals/v1/account_service_pb.js";
import { BacktestService } from "./gen/tradingsignals/v1/backtest_service_pb.js";
import { EventService } from "./gen/tradingsignals/v1/event_service_pb.js";
import { MarketDataService } from "./gen/tradingsignals/v1/market_data_service_pb.js";
import { ModelService } from "./gen/tradingsignals/v1/model_service_pb.js";
import { OutcomeService } from "./gen/tradingsignals/v1/outcome_service_pb.js";
import { PositionService } from "./gen/tradingsignals/v1/position_service_pb.js";
import { SignalService } from "./gen/tradingsignals/v1/signal_service_pb.js";
import { SystemService } from "./gen/tradingsignals/v1/system_service_pb.js";
import { doneOnce, KEYED, type Keyed } from "./keyed.js";
import type { Clock } from "./waits.js";

/** Every service, by its name in the client. */
export const SERVICES = {
  access: AccessService,
  account: AccountService,
  backtests: BacktestService,
  events: EventService,
  marketData: MarketDataService,
  models: ModelService,
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

/** Return a client for each service over a transport. */
export function servicesOver(calls: Calls, clock: Clock): Services {
  const clients = Object.entries(SERVICES).map(([name, service]) => {
    const client = clientOf(service, calls);
    for (const method of KEYED[name as keyof typeof KEYED] ?? []) {
      client[method] = doneOnce(client[method] as Parameters<typeof doneOnce>[0], calls.timeoutMs, clock);
    }
    return [name, client];
  });
  return Object.fromEntries(clients) as Services;
}

function clientOf(service: DescService, transport: Transport): Record<string, unknown> {
  const client: Record<string, unknown> = createClient(service, transport);
  for (const method of service.methods) {
    if (method.methodKind === "server_streaming") client[method.localName] = responsesOf(transport, method as Streaming);
  }
  return client;
}

type Streaming = DescMethodServerStreaming;
type Request = MessageInitShape<DescMessage>;

/** Connect's own function for a stream of responses, but for that leaving the iteration ends the call. */
function responsesOf(transport: Transport, method: Streaming) {
  return (request: Request, options: CallOptions = {}): AsyncIterable<Message> => {
    const { signal, timeoutMs, headers, contextValues, onHeader, onTrailer } = options;
    const opening = transport.stream(method, signal, timeoutMs, headers, only(request), contextValues);
    opening.catch(() => undefined); // the iteration throws it
    return (async function* () {
      const response = await opening;
      onHeader?.(response.header);
      yield* response.message;
      onTrailer?.(response.trailer);
    })();
  };
}
