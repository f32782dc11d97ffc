/** A client of one service. */
import type { DescMessage, DescMethodServerStreaming, DescService, Message, MessageInitShape } from "@bufbuild/protobuf";
import { createClient, type CallOptions, type Client, type Transport } from "@connectrpc/connect";

import { only, type Calls } from "./connection.js";
import { doneOnce, KEYED } from "./keyed.js";
import type { Clock } from "./waits.js";

const ACTING: ReadonlySet<string> = /* @__PURE__ */ new Set<string>(Object.values(KEYED).flat());

/** Return a client of a service, whose calls that act are done once. */
export function clientOf<S extends DescService>(service: S, calls: Calls, clock: Clock): Client<S> {
  const client = createClient(service, calls) as Record<string, unknown>;
  for (const method of service.methods) {
    const name = method.localName;
    if (method.methodKind === "server_streaming") client[name] = responsesOf(calls, method as Streaming);
    if (ACTING.has(name)) client[name] = doneOnce(client[name] as Parameters<typeof doneOnce>[0], calls.timeoutMs, clock);
  }
  return client as Client<S>;
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
