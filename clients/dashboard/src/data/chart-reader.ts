/** Reads what the chart draws: bars of the symbol one looks at, and the signals and closed positions of all of these bars. */

import { CHART_BARS } from "../model/bars";
import type { Action } from "../model/types";
import { isUnknown, sentenceOf, type Gateway } from "./gateway";
import type { Store } from "./store";

const BARS = 400;
const OLDER_BARS = 1_000;
const MARKS = 1_000;
/** Pages of BUYs, and of SELLs, that are read at once: of more signals in the range of the bars only the newest are drawn. */
const MARK_PAGES = 10;
const CLOSED = 500;
const HISTORY = 200;

/** How far closed positions have been read, the last closed first. */
interface Cursor {
  token: string;
  /** When the oldest of them was closed. */
  oldest: number;
}

export class ChartReader {
  private cursor: Cursor = { token: "", oldest: Infinity };

  /** `note` is called with what failed, or with nothing when a symbol was read. */
  constructor(
    private readonly store: Store,
    private readonly gateway: Gateway,
    private readonly note: (error?: unknown) => void,
  ) {}

  /** Read the newest bars, and the marks of all bars that are loaded. */
  async readSymbol(symbol: string): Promise<void> {
    if (!symbol) return;
    this.cursor = { token: "", oldest: Infinity };
    try {
      const { bars, older } = await this.gateway.bars(symbol, BARS);
      this.store.dispatch({ type: "bars", symbol, bars, older });
      this.store.dispatch({ type: "closes", symbol, bars });
      const { chart } = this.store.state;
      if (chart.symbol === symbol) await this.readMarks(symbol, chart.bars[0]?.time);
      const history = await this.gateway.signals({ symbol, action: "" }, HISTORY);
      this.store.dispatch({ type: "history", signals: history.signals });
      this.store.dispatch({ type: "symbol read", symbol });
      this.note();
    } catch (error) {
      this.failed(symbol, error);
    }
  }

  readonly loadOlder = (): void => {
    const { symbol, bars, loading, older } = this.store.state.chart;
    const first = bars[0]?.time;
    if (loading || !older || first === undefined || bars.length >= CHART_BARS) return;
    this.store.dispatch({ type: "bars loading", symbol });
    void this.readOlder(symbol, first);
  };

  private async readOlder(symbol: string, before: number): Promise<void> {
    try {
      const { bars, older } = await this.gateway.bars(symbol, OLDER_BARS, before);
      this.store.dispatch({ type: "bars", symbol, bars, older });
      await this.readMarks(symbol, bars[0]?.time, before);
    } catch (error) {
      this.failed(symbol, error);
    }
  }

  private failed(symbol: string, error: unknown): void {
    this.store.dispatch({ type: "bars failed", symbol, error: sentenceOf(error), unknown: isUnknown(error) });
    if (symbol === this.store.state.selected) this.note(error);
  }

  /** Read the marks of the bars from `from` on, and before `to` if it is given. */
  private async readMarks(symbol: string, from: number | undefined, to?: number): Promise<void> {
    if (from === undefined) return;
    await Promise.all([this.readSignals(symbol, "BUY", from, to), this.readSignals(symbol, "SELL", from, to), this.readClosed(symbol, from)]);
  }

  private async readSignals(symbol: string, action: Action, from: number, to: number | undefined): Promise<void> {
    let token = "";
    for (let page = 0; page < MARK_PAGES; page += 1) {
      const { signals, nextToken } = await this.gateway.signals({ symbol, action }, MARKS, token, { from, to });
      this.store.dispatch({ type: "marks", symbol, signals, closed: [] });
      if (!nextToken) return;
      token = nextToken;
    }
  }

  private async readClosed(symbol: string, from: number): Promise<void> {
    const { cursor } = this;
    while (cursor.oldest >= from) {
      const { positions, nextToken } = await this.gateway.closedPositions(symbol, CLOSED, cursor.token);
      if (this.cursor !== cursor) return;
      this.store.dispatch({ type: "marks", symbol, signals: [], closed: positions });
      cursor.token = nextToken;
      cursor.oldest = nextToken ? (positions.at(-1)?.exitTime ?? -Infinity) : -Infinity;
    }
  }
}
