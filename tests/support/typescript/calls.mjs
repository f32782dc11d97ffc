/**
 * Makes calls in turn and prints how each has ended, one JSON object a line.
 *
 * node calls.mjs ADDRESS PROTOCOL CALLS
 *
 * CALLS is a JSON list of [service, method, request, options]. Of a stream the first response is read. Without CALLS every
 * call of the contract is made, with an empty request.
 */
import { createClient } from "trading-signals-client/node";
import { SERVICES, TradingSignalsError } from "trading-signals-client";

const [address, protocol, calls] = process.argv.slice(2);
const client = createClient({ baseUrl: `http://${address}`, protocol });

const EVERY_CALL = Object.entries(SERVICES).flatMap(([service, { methods }]) =>
  methods.map(({ localName, input }) => [service, localName, "heartbeatSeconds" in input.field ? { heartbeatSeconds: 1 } : {}]),
);

/** Return the response, and whether the service says that it is that of an earlier call. */
async function answered(call, request, options) {
  let replayed = false;
  const onHeader = (headers) => (replayed = headers.get("idempotency-replayed") === "true");
  return { response: await call(request, { ...options, onHeader }), replayed };
}

async function made(service, method, request, options) {
  const { methodKind } = SERVICES[service].method[method];
  const call = client[service][method];
  if (methodKind === "unary") return answered(call, request, options);
  if (methodKind === "client_streaming") return { response: await call((async function* () {})()) };
  for await (const response of call(request)) return { response };
  return {};
}

for (const [service, method, request, options] of calls ? JSON.parse(calls) : EVERY_CALL) {
  const rpc = `${SERVICES[service].typeName.split(".").at(-1)}.${SERVICES[service].method[method].name}`;
  let result;
  try {
    result = await made(service, method, request, options);
  } catch (error) {
    if (!(error instanceof TradingSignalsError)) throw error;
    const { name, reason, metadata, violations, retryable, message } = error;
    result = { error: name, reason, metadata, violations, retryable, message };
  }
  const text = JSON.stringify({ rpc, ...result }, (_, value) => (typeof value === "bigint" ? `${value}` : value));
  process.stdout.write(`${text}\n`);
}
client.close();
