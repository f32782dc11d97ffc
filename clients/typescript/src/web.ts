/** The client for browsers, over gRPC-Web. */
import type { Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { createBareClientOver, type BareClient } from "./bare.js";
import { createClientOver, type Client } from "./client.js";
import type { Connect } from "./connection.js";
import { sending, type KeySource } from "./credentials.js";

/** How a browser reaches the service. */
export interface WebOptions {
  /** URL of the service's public port. Without it: where the page comes from. */
  readonly baseUrl?: string | undefined;
  /** Deadline of a call with one response, in milliseconds; 10,000 by default, 0 for none. */
  readonly timeoutMs?: number | undefined;
  /** An API key or a token, for a service that wants one; or a function that returns it at each call. */
  readonly apiKey?: KeySource | undefined;
  /** What to do with each call besides, such as adding a header. */
  readonly interceptors?: readonly Interceptor[] | undefined;
  /** Used in place of the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/** Return a client that connects when it is first used, and whenever the connection was lost. */
export function createClient(options: WebOptions = {}): Client {
  return createClientOver(connecting(options), { timeoutMs: options.timeoutMs });
}

/** Return the same without the services: a page has only those in its bundle that it names. */
export function createBareClient(options: WebOptions = {}): BareClient {
  return createBareClientOver(connecting(options), { timeoutMs: options.timeoutMs });
}

function connecting(options: WebOptions): Connect {
  const baseUrl = options.baseUrl ?? globalThis.location.origin;
  const interceptors = [...(options.interceptors ?? []), ...(options.apiKey ? [sending(options.apiKey)] : [])];
  const fetch = options.fetch;
  return () => ({
    transport: createGrpcWebTransport({ baseUrl, interceptors, ...(fetch && { fetch }) }),
    close: () => undefined, // connections are the browser's; aborting the calls is all that ends one
  });
}
