/** The calls of the page, by the TypeScript client over gRPC-Web. */

import * as v1 from "trading-signals-client";
import type { Client } from "trading-signals-client";

import type { Bar, Health, Position, ServiceInfo, Signal } from "../model/types";
import type { Filter } from "../model/rows";
import { barOf, healthOf, infoOf, positionOf, signalOf } from "./convert";

export interface SignalPage {
  readonly signals: readonly Signal[];
  readonly nextToken: string;
  readonly through: number;
}

const ACTIONS = { BUY: v1.Signal_Action.BUY, SELL: v1.Signal_Action.SELL, HOLD: v1.Signal_Action.HOLD } as const;

export class Gateway {
  constructor(readonly client: Client) {}

  async info(): Promise<ServiceInfo> {
    return infoOf(await this.client.system.getServiceInfo({}));
  }

  async health(): Promise<Health> {
    return healthOf(await this.client.health());
  }

  async positions(): Promise<{ positions: readonly Position[]; through: number }> {
    const response = await this.client.positions.listActivePositions({});
    return { positions: response.positions.map(positionOf), through: Number(response.throughSequence) };
  }

  async closedPositions(symbol: string, limit: number): Promise<readonly Position[]> {
    return (await this.client.positions.listClosedPositions({ symbol, limit })).positions.map(positionOf);
  }

  async closePosition(positionId: string): Promise<void> {
    await this.client.positions.closePosition({ positionId });
  }

  async signals(filter: Omit<Filter, "minConfidence">, limit: number, pageToken = "", startDate = ""): Promise<SignalPage> {
    const action = filter.action === "" ? {} : { action: ACTIONS[filter.action] };
    const response = await this.client.signals.listSignals({ symbol: filter.symbol, ...action, limit, pageToken, startDate });
    return {
      signals: response.signals.map((signal) => signalOf(signal)),
      nextToken: response.nextPageToken,
      through: Number(response.throughSequence),
    };
  }

  /** Bars, the oldest first, and the token of the page of older ones. */
  async bars(symbol: string, limit: number, pageToken = ""): Promise<{ bars: readonly Bar[]; nextToken: string }> {
    const response = await this.client.marketData.listBars({ symbol, limit, pageToken });
    return { bars: response.bars.map(barOf).reverse(), nextToken: response.nextPageToken };
  }
}

/** An error as a sentence. */
export function sentenceOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text ? text.charAt(0).toUpperCase() + text.slice(1) : "Unknown error";
}
