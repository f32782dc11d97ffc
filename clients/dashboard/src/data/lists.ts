/** Reads what the stream does not have: lists, bars of a symbol, health and the account; again what could not be read. */

import type { Filter, SignalRows } from "../model/rows";
import { isUnknownSymbol, symbolToShow } from "../model/state";
import type { Signal } from "../model/types";
import { ChartReader } from "./chart-reader";
import { failedWith, isDenied, isTemporary, sentenceOf, type Gateway } from "./gateway";
import type { Store } from "./store";

const PAGE = 200;
const WALK_PAGE = 1_000;
const HEALTH_EVERY = 5_000;
const RETRY = 3_000;
const LEDGER_DELAY = 200;
const LEDGER_TRIES = 10;

/** What is read again if it failed. */
type List = "positions" | "signals" | "chart" | "symbols" | "newest" | "caller";

/** Whether `every` has passed since `last`; a time that is to come is of before the clock was set back. */
function isDue(last: number, every: number, now: number): boolean {
  return now < last || now - last >= every;
}

export class Lists {
  readonly chart: ChartReader;
  private lastHealth = 0;
  /** What could not be read for a while, and when it was last tried again. */
  private readonly missing = new Set<List>();
  private lastRecovery = 0;

  /** `preferred` is the symbol of the address, or empty; `onDenied` is called when the key is no longer accepted. */
  constructor(
    private readonly store: Store,
    private readonly gateway: Gateway,
    private readonly preferred: string,
    private readonly onDenied: (error: unknown) => void,
  ) {
    this.chart = new ChartReader(store, gateway, (error) => this.note("chart", error));
  }

  /** Read what is due: with `live` what failed before, and in a visible page health and account. */
  onTick(now: number, live: boolean, visible: boolean): void {
    if (live && isDue(this.lastRecovery, RETRY, now)) this.recover(now);
    if (visible && isDue(this.lastHealth, HEALTH_EVERY, now)) {
      this.readHealth();
      this.readAccount();
    }
  }

  readonly readHealth = (): void => void this.askHealth();

  private async askHealth(): Promise<void> {
    const sent = Date.now();
    this.lastHealth = sent;
    try {
      const value = await this.gateway.health();
      const at = Date.now();
      this.store.dispatch({ type: "clock", sent, read: value.time, received: at });
      this.store.dispatch({ type: "health", health: { state: "ready", value, at } });
    } catch (error) {
      this.store.dispatch({ type: "health", health: failedWith(error, this.store.state.health) });
    }
    this.chooseSymbol();
  }

  /** Read what the caller may do: with each connection, because another key, or another role of it, may have come with it. */
  async readCaller(): Promise<void> {
    try {
      this.store.dispatch({ type: "caller", caller: await this.gateway.caller() });
      this.note("caller");
    } catch (error) {
      this.note("caller", error);
    }
  }

  readonly readAccount = (): void => void this.askAccount();

  private async askAccount(): Promise<void> {
    try {
      const value = await this.gateway.account();
      this.store.dispatch({ type: "account", account: { state: "ready", value, at: Date.now() } });
    } catch (error) {
      this.store.dispatch({ type: "account", account: failedWith(error, this.store.state.account) });
      if (isDenied(error)) this.onDenied(error);
    }
  }

  /** Read the account until it has the entry of a halt or a resumption: the ledger follows the log. */
  async askAccountAfter(sequence: number): Promise<void> {
    for (let tries = 0; tries < LEDGER_TRIES; tries++) {
      await this.askAccount();
      if ((this.store.state.account.value?.through ?? sequence) >= sequence) return;
      await new Promise((resume) => setTimeout(resume, LEDGER_DELAY));
    }
  }

  /** Read what the page begins with. */
  async readAll(): Promise<void> {
    const symbol = this.store.state.selected || this.preferred;
    if (symbol) this.select(symbol);
    await Promise.all([this.readPositions(), this.readFirstPage(), this.readSymbols(), this.askHealth(), this.askAccount()]);
    this.chooseSymbol();
  }

  /** Note whether a list could be read; what failed for a while is read again. */
  private note(list: List, error?: unknown): void {
    if (error !== undefined && isTemporary(error)) this.missing.add(list);
    else this.missing.delete(list);
  }

  /** Read again what failed: the service is connected. */
  private recover(now: number): void {
    if (!this.missing.size) return;
    this.lastRecovery = now;
    const missing = [...this.missing];
    this.missing.clear();
    const { list, chart } = this.store.state;
    for (const name of missing) {
      if (name === "positions") void this.readPositions();
      else if (name === "signals") void (list.read ? this.readPage(list.filter) : this.readFirstPage());
      else if (name === "symbols") void this.readSymbols();
      else if (name === "newest") void this.readNewest();
      else if (name === "caller") void this.readCaller();
      else this.readSymbolAgain(chart.symbol);
    }
  }

  private readSymbolAgain(symbol: string): void {
    this.store.dispatch({ type: "bars loading", symbol });
    void this.chart.readSymbol(symbol);
  }

  private async readPositions(): Promise<void> {
    try {
      const { positions, through } = await this.gateway.positions();
      this.store.dispatch({ type: "positions", positions, through });
      this.note("positions");
    } catch (error) {
      this.store.dispatch({ type: "positions failed", error: sentenceOf(error) });
      this.note("positions", error);
    }
  }

  /** Read all symbols of the service, page by page. Those that are new come over the stream. */
  private async readSymbols(): Promise<void> {
    try {
      let token = "";
      do {
        const { symbols, nextToken } = await this.gateway.symbols(token);
        this.store.dispatch({ type: "symbols", symbols, last: !nextToken });
        token = nextToken;
      } while (token);
      this.note("symbols");
    } catch (error) {
      this.store.dispatch({ type: "symbols failed", error: sentenceOf(error) });
      this.note("symbols", error);
    }
  }

  private async readFirstPage(): Promise<void> {
    const { filter } = this.store.state.list;
    const signals = await this.readPage(filter);
    // Among BUYs alone the newest one of a symbol may be old.
    if (signals && filter.action === "") this.store.dispatch({ type: "history", signals });
    else if (signals) await this.readNewest();
    this.chooseSymbol();
  }

  private async readNewest(): Promise<void> {
    try {
      const { signals } = await this.gateway.signals({ symbol: "", action: "" }, PAGE);
      this.store.dispatch({ type: "history", signals });
    } catch (error) {
      this.note("newest", error);
    }
  }

  /** Read the first page of a filter, or the page after the last row. */
  private async readPage(filter: Filter): Promise<readonly Signal[] | undefined> {
    const { list } = this.store.state;
    this.store.dispatch({ type: "page loading" });
    try {
      const page = list.read && list.nextToken === undefined ? await this.walk(list) : await this.gateway.signals(filter, PAGE, list.read ? list.nextToken : "");
      this.store.dispatch({ type: "page", filter, ...page });
      this.note("signals");
      return page.signals;
    } catch (error) {
      this.store.dispatch({ type: "page failed", filter, error: sentenceOf(error) });
      this.note("signals", error);
      return undefined;
    }
  }

  /** Rows were dropped, and with them the token that goes on after the last one: find it from the top. */
  private async walk(list: SignalRows): ReturnType<Gateway["signals"]> {
    const oldest = list.rows.at(-1)?.sequence ?? 0;
    let token = "";
    for (;;) {
      const page = await this.gateway.signals(list.filter, WALK_PAGE, token);
      const last = page.signals.at(-1);
      if (!last || last.sequence < oldest || !page.nextToken) return page;
      token = page.nextToken;
    }
  }

  readonly loadMore = (): void => {
    const { list } = this.store.state;
    if (list.loading || (list.read && list.nextToken === "" && !list.error)) return;
    void this.readPage(list.filter);
  };

  readonly filter = (filter: Filter): void => {
    this.store.dispatch({ type: "filter", filter });
    void this.readPage(filter);
  };

  readonly listTop = (atTop: boolean): void => {
    if (atTop !== this.store.state.listAtTop) this.store.dispatch({ type: "list top", atTop });
  };

  /** Look at the symbol that most needs it, if none has been chosen. */
  chooseSymbol(): void {
    const { selected, list, listed } = this.store.state;
    if (selected || !listed || (!list.read && !list.error)) return;
    const symbol = symbolToShow(this.store.state);
    if (symbol) this.select(symbol);
  }

  readonly select = (symbol: string): void => {
    this.store.dispatch({ type: "select", symbol });
    void this.chart.readSymbol(symbol);
  };

  /** Leave a symbol that the service does not have. */
  readonly leaveUnknown = (): void => {
    if (!isUnknownSymbol(this.store.state)) return;
    this.store.dispatch({ type: "select", symbol: "" });
    this.chooseSymbol();
  };

  readonly retry = (): void => {
    const { chart, listed, list, symbolsError } = this.store.state;
    if (!listed) void this.readPositions();
    if (symbolsError) void this.readSymbols();
    if (list.error) this.loadMore();
    if (chart.error) this.readSymbolAgain(chart.symbol);
  };
}
