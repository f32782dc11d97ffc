/** What a client sends with each call, so that the service knows who calls. */
import type { Interceptor } from "@connectrpc/connect";

/** An API key or a token; or a function that returns it at each call, for tokens that are renewed. Empty: none is sent. */
export type KeySource = string | (() => string | undefined);

/** Return an interceptor that sends a key with each call. */
export function sending(apiKey: KeySource): Interceptor {
  return (next) => (request) => {
    const key = typeof apiKey === "function" ? apiKey() : apiKey;
    if (key) request.header.set("authorization", `Bearer ${key}`);
    return next(request);
  };
}
