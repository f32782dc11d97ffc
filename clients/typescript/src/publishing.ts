/** Bars in bulk. */
import { create, type DescMethodUnary, type MessageInitShape } from "@bufbuild/protobuf";
import type { CallOptions, Transport } from "@connectrpc/connect";

import type { BarSchema } from "./gen/tradingsignals/v1/bar_pb.js";
import {
  MarketDataService,
  PublishBarsResponseSchema,
  type PublishBarsRequestSchema,
  type PublishBarsResponse,
} from "./gen/tradingsignals/v1/market_data_service_pb.js";

/** Bars of one call: one for each bar would cost the service several times as much. */
const BARS_A_CALL = 500;

type BarInit = MessageInitShape<typeof BarSchema>;

/**
 * The method with one message in its request stream, which is the same on the wire as a method that takes one message:
 * browsers cannot send streams.
 */
const PUBLISH: DescMethodUnary<typeof PublishBarsRequestSchema, typeof PublishBarsResponseSchema> = {
  ...MarketDataService.method.publishBars,
  methodKind: "unary",
};

/** Send bars, call by call; returns the sum of the responses. */
export async function publishBars(
  transport: Transport,
  bars: Iterable<BarInit> | AsyncIterable<BarInit>,
  options: CallOptions = {},
): Promise<PublishBarsResponse> {
  const sum = create(PublishBarsResponseSchema);
  for await (const batch of batches(bars, BARS_A_CALL)) {
    const { signal, timeoutMs = 0, headers, contextValues } = options;
    const { message } = await transport.unary(PUBLISH, signal, timeoutMs, headers, { bars: batch }, contextValues);
    add(sum, message);
  }
  return sum;
}

function add(sum: PublishBarsResponse, part: PublishBarsResponse): void {
  sum.rejections.push(...part.rejections.map((rejection) => ({ ...rejection, index: sum.received + rejection.index })));
  sum.received += part.received;
  sum.accepted += part.accepted;
  sum.warmingUp += part.warmingUp;
  sum.outsideSession += part.outsideSession;
  sum.otherInterval += part.otherInterval;
  sum.late += part.late;
  sum.duplicates += part.duplicates;
  sum.rejected += part.rejected;
  if (part.throughSequence > sum.throughSequence) sum.throughSequence = part.throughSequence;
}

async function* batches<T>(items: Iterable<T> | AsyncIterable<T>, size: number): AsyncIterable<T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
