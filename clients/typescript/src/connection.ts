/** Connections: a transport with typed errors and a deadline, whose calls end with it. */
import type { DescMessage, DescMethodStreaming, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import { Code, type ContextValues, type StreamResponse, type Transport, type UnaryResponse } from "@connectrpc/connect";

import { CallCanceled, typedError } from "./errors.js";

/** Deadline of a call with one response, in milliseconds. Streams have none. */
export const DEFAULT_TIMEOUT_MS = 10_000;

/** A transport with a connection of its own. */
export interface Connection {
  readonly transport: Transport;
  /** End the connection. */
  close(): void;
}

/** Opens a connection; it connects when it is first used. */
export type Connect = () => Connection;

/** A transport over a connection. Its calls throw a TradingSignalsError, and end when it is closed. */
export class Calls implements Transport {
  readonly #connection: Connection;
  /** Deadline of a call with one response that names none; 0: none. */
  readonly timeoutMs: number;
  readonly #open = new Set<AbortController>();
  #closed = false;

  constructor(connection: Connection, timeoutMs: number) {
    this.#connection = connection;
    this.timeoutMs = timeoutMs;
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
    contextValues?: ContextValues,
  ): Promise<UnaryResponse<I, O>> {
    const call = this.#begin(signal);
    try {
      const deadline = timeoutMs ?? this.timeoutMs;
      return await this.#connection.transport.unary(method, call.signal, deadline, header, input, contextValues);
    } catch (error) {
      throw typedError(error, call.signal.aborted);
    } finally {
      call.release();
    }
  }

  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
    contextValues?: ContextValues,
  ): Promise<StreamResponse<I, O>> {
    const call = this.#begin(signal);
    try {
      const transport = this.#connection.transport;
      const response = await transport.stream(method, call.signal, timeoutMs ?? 0, header, input, contextValues);
      return { ...response, message: messages(response.message, call) };
    } catch (error) {
      const failure = typedError(error, call.signal.aborted);
      call.release();
      throw failure;
    }
  }

  /** End all calls, and the connection. */
  close(): void {
    this.#closed = true;
    for (const controller of this.#open) controller.abort();
    this.#connection.close();
  }

  #begin(outer: AbortSignal | undefined): OpenCall {
    if (this.#closed) throw new CallCanceled("the client is closed", { code: Code.Canceled });
    const controller = new AbortController();
    const abort = () => controller.abort(outer?.reason);
    if (outer?.aborted) abort();
    outer?.addEventListener("abort", abort);
    this.#open.add(controller);
    const release = () => {
      outer?.removeEventListener("abort", abort);
      this.#open.delete(controller);
    };
    return { signal: controller.signal, release, abort: () => controller.abort() };
  }
}

interface OpenCall {
  readonly signal: AbortSignal;
  release(): void;
  abort(): void;
}

/** The messages of a stream, which ends when the iteration is left: transports themselves leave it open then. */
function messages<T>(inner: AsyncIterable<T>, call: OpenCall): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator](): AsyncIterator<T> {
      const iterator = inner[Symbol.asyncIterator]();
      return {
        async next() {
          try {
            const result = await iterator.next();
            if (result.done === true) call.release();
            return result;
          } catch (error) {
            const failure = typedError(error, call.signal.aborted);
            call.release();
            throw failure;
          }
        },
        return() {
          call.abort();
          call.release();
          return Promise.resolve({ done: true, value: undefined });
        },
      };
    },
  };
}

/** The one message of a request, as transports take it. */
export async function* only<T>(message: T): AsyncIterable<T> {
  yield message;
}
