/** The client for Node, over gRPC or gRPC-Web. */
import type { SecureClientSessionOptions } from "node:http2";

import type { Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, createGrpcWebTransport, Http2SessionManager } from "@connectrpc/connect-node";

import { createClientOver, type Client } from "./client.js";
import { sending, type KeySource } from "./credentials.js";

/** How Node reaches the service. */
export interface NodeOptions {
  /** URL of the service's public port, such as "http://127.0.0.1:8003"; HTTPS is used if it says so. */
  readonly baseUrl: string;
  /** "grpc" by default. */
  readonly protocol?: "grpc" | "grpc-web" | undefined;
  /** Deadline of a call with one response, in milliseconds; 10,000 by default, 0 for none. */
  readonly timeoutMs?: number | undefined;
  /** An API key or a token, for a service that wants one; or a function that returns it at each call. */
  readonly apiKey?: KeySource | undefined;
  /** What to do with each call besides, such as adding a header. */
  readonly interceptors?: readonly Interceptor[] | undefined;
  /** Options of the HTTP/2 connection, such as `ca` for a certificate of one's own. */
  readonly http2?: SecureClientSessionOptions | undefined;
}

// A service that is gone without an error is noticed within 40 seconds, whatever is called.
const KEEPALIVE = { pingIntervalMs: 30_000, pingTimeoutMs: 10_000 };

/** Return a client that connects when it is first used, and whenever the connection was lost. */
export function createClient(options: NodeOptions): Client {
  const { baseUrl, protocol = "grpc" } = options;
  const interceptors = [...(options.interceptors ?? []), ...(options.apiKey ? [sending(options.apiKey)] : [])];
  const connect = () => {
    const sessionManager = new Http2SessionManager(baseUrl, KEEPALIVE, options.http2);
    const transport =
      protocol === "grpc"
        ? createGrpcTransport({ baseUrl, interceptors, sessionManager })
        : createGrpcWebTransport({ baseUrl, interceptors, httpVersion: "2", sessionManager });
    return { transport, close: () => sessionManager.abort() };
  };
  return createClientOver(connect, { timeoutMs: options.timeoutMs });
}
