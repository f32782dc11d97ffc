/** Feeds the store: lists that are read, and the page's one stream, resumed for ever. */

import { EpochChanged, EventsPruned, type BareClient, type Event } from "trading-signals-client";

import { SILENT, type ConnectionEvent } from "../model/connection";
import { keyProblem } from "../model/keys";
import type { Filter, SignalRows } from "../model/rows";
import { isUnknownSymbol, symbolToShow } from "../model/state";
import { CLOSES } from "../model/symbols";
import type { LogEntry, Signal } from "../model/types";
import { tick } from "./clock";
import { entryOf } from "./convert";
import { apiKey, keepApiKey, setApiKey } from "./credentials";
import { failedWith, Gateway, isDenied, isTemporary, isUnknown, sentenceOf } from "./gateway";
import type { Store } from "./store";

/** Entries before the newest that the stream begins with: they have times of commits and recent bars of all symbols. */
const BACKLOG = 240;
const HEARTBEAT_SECONDS = 5;
const PAGE = 200;
const WALK_PAGE = 1_000;
const BARS = 400;
const MARKS = 500;
const HEALTH_EVERY = 5_000;
const OTHERS = 60;
const RETRY = 3_000;
const LEDGER_DELAY = 200;
const LEDGER_TRIES = 10;

type Follower = ReturnType<BareClient["follow"]>;

/** Lists of the page that are read again if they failed. */
type List = "positions" | "signals" | "chart" | "others";

/** Where the stream goes on. */
interface Bookmark {
  readonly after: bigint;
  readonly epoch: string;
}

export class Session {
  readonly gateway: Gateway;
  private follower: Follower | undefined;
  private pending: LogEntry[] = [];
  private flushing = false;
  private readonly channel = new MessageChannel();
  private wanted = "";
  private ended = false;
  private suspended = false;
  private bookmark: Bookmark | undefined;
  private running = false;
  private timer = 0;
  private lastHealth = 0;
  /** Lists that could not be read for a while, and when one was last tried again. */
  private readonly missing = new Set<List>();
  private lastRecovery = 0;
  /** Why the stream was dropped by the page itself, until that is reported. */
  private dropped: string | undefined;
  /** Goes on with another key. */
  private admitted: (() => void) | undefined;

  constructor(
    private readonly store: Store,
    private readonly client: BareClient,
  ) {
    this.gateway = new Gateway(client);
    this.channel.port1.onmessage = () => this.flush();
  }

  /** Begin; `symbol` is the one of the address, or empty. */
  start(symbol: string): void {
    this.wanted = symbol;
    this.timer = window.setInterval(() => this.onTick(), 1000);
    window.addEventListener("online", () => this.onNetwork(true));
    window.addEventListener("offline", () => this.onNetwork(false));
    document.addEventListener("freeze", () => this.connection({ type: "frozen", now: Date.now() }));
    document.addEventListener("visibilitychange", () => !document.hidden && this.onTick());
    // A page that was left may be kept for the way back, and its stream with it: of six that a browser has to one host.
    window.addEventListener("pagehide", () => this.suspend());
    window.addEventListener("pageshow", (event) => event.persisted && this.resume());
    void this.run();
  }

  stop(): void {
    this.ended = true;
    window.clearInterval(this.timer);
    this.follower?.close();
  }

  // ------------------------------------------------------------------------------------------------------- stream

  private suspend(): void {
    this.suspended = true;
    this.connection({ type: "frozen", now: Date.now() });
    this.follower?.close();
  }

  private resume(): void {
    this.suspended = false;
    void this.run();
  }

  private async run(): Promise<void> {
    if (this.running) return;
    this.running = true;
    while (!this.ended && !this.suspended) {
      try {
        await this.follow(this.bookmark ?? (await this.begin()));
      } catch (error) {
        if (error instanceof EpochChanged) this.connection({ type: "restarted", now: Date.now(), through: 0 });
        else if (error instanceof EventsPruned) this.skipped(error);
        else {
          await this.waitAfter(error);
          continue;
        }
        this.bookmark = undefined;
        this.store.dispatch({ type: "begin", after: 0 });
      }
    }
    this.running = false;
  }

  /** Wait until it is worth trying again: for another key if this one is not accepted, else for some seconds. */
  private async waitAfter(error: unknown): Promise<void> {
    if (isDenied(error)) {
      this.connection({ type: "denied", now: Date.now(), error: apiKey() ? sentenceOf(error) : "" });
      await new Promise<void>((resume) => (this.admitted = resume));
      this.connection({ type: "admitted", now: Date.now() });
      return;
    }
    this.lost(error);
    await new Promise((resume) => setTimeout(resume, RETRY * (0.5 + Math.random() / 2)));
  }

  /** Try a key, and go on with it; returns why it is not accepted, "" if it is. */
  readonly tryKey = async (text: string): Promise<string> => {
    const problem = keyProblem(text);
    if (problem) return problem;
    setApiKey(text);
    try {
      await this.gateway.info();
    } catch (error) {
      return `${sentenceOf(error)}${isTemporary(error) ? ". The key was not checked: try again" : ""}.`;
    }
    keepApiKey();
    this.admitted?.();
    return "";
  };

  private async begin(): Promise<Bookmark> {
    const info = await this.gateway.info();
    this.store.dispatch({ type: "info", info: { state: "ready", value: info, at: Date.now() } });
    void this.readLists();
    this.bookmark = { after: BigInt(Math.max(info.oldest - 1, info.through - BACKLOG, 0)), epoch: info.epoch };
    return this.bookmark;
  }

  private skipped(error: EventsPruned): void {
    this.connection({ type: "skipped", now: Date.now(), from: Number(error.sequence), oldest: Number(error.oldestSequence) });
  }

  private async follow({ after, epoch }: Bookmark): Promise<void> {
    const follower = this.client.follow(
      {},
      {
        resumeAfter: after,
        epoch,
        heartbeatSeconds: HEARTBEAT_SECONDS,
        backoff: { firstMs: 250, maxMs: 3_000 },
        onNotice: (notice) => {
          if (notice.kind === "disconnected") this.lost(notice.error);
        },
      },
    );
    this.follower = follower;
    try {
      for await (const event of follower) this.received(event);
    } finally {
      this.bookmark = { after: follower.sequence ?? after, epoch: follower.epoch ?? epoch };
    }
  }

  private received(event: Event): void {
    const entry = entryOf(event);
    if (entry) this.pending.push(entry);
    if (this.flushing) return;
    // What has come with one response is applied together.
    this.flushing = true;
    this.channel.port2.postMessage(0);
  }

  private flush(): void {
    this.flushing = false;
    const entries = this.pending;
    this.pending = [];
    const now = Date.now();
    const halted = this.store.state.controlSequence;
    this.store.dispatch({ type: "entries", entries, now });
    if (this.store.state.controlSequence > halted) void this.askAccountAfter(this.store.state.controlSequence);
    this.noteResponse();
    this.chooseSymbol();
  }

  /** Heartbeats hand out no event: the follower knows when its last response came. */
  private noteResponse(): void {
    const at = this.follower?.lastResponseAt?.getTime();
    const known = this.store.state.connection;
    if (at === undefined || (known.phase === "live" && known.lastResponse === at)) return;
    if (known.lastResponse !== undefined && at <= known.lastResponse) return;
    this.connection({ type: "response", now: at, through: Number(this.follower?.sequence ?? 0n) });
  }

  private lost(error: unknown): void {
    this.connection({ type: "lost", now: Date.now(), error: this.dropped ?? sentenceOf(error), online: navigator.onLine });
    this.dropped = undefined;
  }

  /** Drop the stream and open another one. */
  private reconnect(why: string): void {
    this.dropped = why;
    this.follower?.reconnect();
  }

  private onNetwork(online: boolean): void {
    this.connection({ type: "network", now: Date.now(), online });
    if (online) this.reconnect("The network of this device has changed");
  }

  private connection(event: ConnectionEvent): void {
    this.store.dispatch({ type: "connection", event });
  }

  private onTick(): void {
    const now = Date.now();
    this.noteResponse();
    const before = this.store.state.connection.phase;
    this.connection({ type: "tick", now, hidden: document.hidden });
    // The connection of a page that slept may be dead without an error: it is not waited for.
    const { phase, error } = this.store.state.connection;
    if (before === "live" && phase === "stale") this.reconnect(error || SILENT);
    tick(now);
    if (phase === "denied") return;
    if (phase === "live" && now - this.lastRecovery >= RETRY) this.recover(now);
    if (!document.hidden && now - this.lastHealth >= HEALTH_EVERY) {
      this.readHealth();
      this.readAccount();
    }
  }

  // -------------------------------------------------------------------------------------------------------- lists

  readonly readHealth = (): void => void this.askHealth();

  private async askHealth(): Promise<void> {
    this.lastHealth = Date.now();
    try {
      const value = await this.gateway.health();
      this.store.dispatch({ type: "health", health: { state: "ready", value, at: Date.now() } });
    } catch (error) {
      this.store.dispatch({ type: "health", health: failedWith(error, this.store.state.health) });
    }
    this.chooseSymbol();
  }

  readonly readAccount = (): void => void this.askAccount();

  private async askAccount(): Promise<void> {
    try {
      const value = await this.gateway.account();
      this.store.dispatch({ type: "account", account: { state: "ready", value, at: Date.now() } });
    } catch (error) {
      this.store.dispatch({ type: "account", account: failedWith(error, this.store.state.account) });
      // The stream of a key that is no longer accepted ends too; opening it again says why.
      if (isDenied(error) && this.store.state.connection.phase === "live") this.reconnect(sentenceOf(error));
    }
  }

  /** Read the account until it has the entry of a halt or a resumption: the ledger follows the log. */
  private async askAccountAfter(sequence: number): Promise<void> {
    for (let tries = 0; tries < LEDGER_TRIES; tries++) {
      await this.askAccount();
      if ((this.store.state.account.value?.through ?? sequence) >= sequence) return;
      await new Promise((resume) => setTimeout(resume, LEDGER_DELAY));
    }
  }

  /** Read what the page begins with. */
  readonly readLists = async (): Promise<void> => {
    const symbol = this.store.state.selected || this.wanted;
    if (symbol) this.select(symbol);
    await Promise.all([this.readPositions(), this.readFirstPage(), this.askHealth(), this.askAccount()]);
    this.chooseSymbol();
    await this.readOthers();
  };

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
      else if (name === "others") void this.readOthers();
      else this.readSymbolAgain(chart.symbol);
    }
  }

  private readSymbolAgain(symbol: string): void {
    this.store.dispatch({ type: "bars loading", symbol });
    void this.readSymbol(symbol);
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

  private async readFirstPage(): Promise<void> {
    const signals = await this.readPage(this.store.state.list.filter);
    if (signals) this.store.dispatch({ type: "history", signals });
    this.chooseSymbol();
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

  readonly closePosition = async (id: string): Promise<string> => {
    try {
      await this.gateway.closePosition(id);
      return "";
    } catch (error) {
      return sentenceOf(error);
    }
  };

  readonly setHalted = async (halted: boolean, reason: string, by: string): Promise<string> => {
    try {
      await this.gateway.setHalted(halted, reason, by);
      this.readHealth();
      return "";
    } catch (error) {
      return sentenceOf(error);
    }
  };

  // ----------------------------------------------------------------------------------------------------- the symbol

  /** Look at the symbol that most needs it, if none has been chosen. */
  private chooseSymbol(): void {
    const { selected, list, listed } = this.store.state;
    if (selected || !listed || (!list.read && !list.error)) return;
    const symbol = symbolToShow(this.store.state);
    if (symbol) this.select(symbol);
  }

  readonly select = (symbol: string): void => {
    this.store.dispatch({ type: "select", symbol });
    void this.readSymbol(symbol);
  };

  /** Leave a symbol that the service does not have. */
  readonly leaveUnknown = (): void => {
    if (!isUnknownSymbol(this.store.state)) return;
    this.store.dispatch({ type: "select", symbol: "" });
    this.chooseSymbol();
  };

  private async readSymbol(symbol: string): Promise<void> {
    if (!symbol) return;
    try {
      const { bars, nextToken } = await this.gateway.bars(symbol, BARS);
      this.store.dispatch({ type: "bars", symbol, bars, olderToken: nextToken });
      this.store.dispatch({ type: "closes", symbol, bars });
      await this.readMarks(symbol, bars[0]?.time);
      const history = await this.gateway.signals({ symbol, action: "" }, PAGE);
      this.store.dispatch({ type: "history", signals: history.signals });
      this.store.dispatch({ type: "symbol read", symbol });
      this.note("chart");
    } catch (error) {
      this.store.dispatch({ type: "bars failed", symbol, error: sentenceOf(error), unknown: isUnknown(error) });
      if (symbol === this.store.state.selected) this.note("chart", error);
    }
  }

  private async readMarks(symbol: string, from: number | undefined): Promise<void> {
    if (from === undefined) return;
    const start = new Date(from).toISOString();
    const [buys, sells, closed] = await Promise.all([
      this.gateway.signals({ symbol, action: "BUY" }, MARKS, "", start),
      this.gateway.signals({ symbol, action: "SELL" }, MARKS, "", start),
      this.gateway.closedPositions(symbol, 100),
    ]);
    this.store.dispatch({ type: "marks", symbol, signals: [...buys.signals, ...sells.signals], closed });
  }

  readonly retry = (): void => {
    const { chart, listed, list } = this.store.state;
    if (!listed) void this.readPositions();
    if (list.error) this.loadMore();
    if (chart.error) this.readSymbolAgain(chart.symbol);
  };

  readonly loadOlderBars = (): void => {
    const { chart } = this.store.state;
    if (chart.loading || !chart.olderToken) return;
    this.store.dispatch({ type: "bars loading", symbol: chart.symbol });
    void this.readOlderBars(chart.symbol, chart.olderToken);
  };

  private async readOlderBars(symbol: string, token: string): Promise<void> {
    try {
      const { bars, nextToken } = await this.gateway.bars(symbol, 1_000, token);
      this.store.dispatch({ type: "bars", symbol, bars, olderToken: nextToken });
      await this.readMarks(symbol, bars[0]?.time);
    } catch (error) {
      this.store.dispatch({ type: "bars failed", symbol, error: sentenceOf(error), unknown: false });
    }
  }

  /** What the list shows of symbols that the first lists and entries did not have: one after the other, when the page stands. */
  private async readOthers(): Promise<void> {
    const names = [...this.store.state.symbols.keys()].slice(0, OTHERS);
    for (const symbol of names) {
      const known = this.store.state.symbols.get(symbol);
      try {
        if ((known?.closes.length ?? 0) < CLOSES / 2) {
          const { bars } = await this.gateway.bars(symbol, CLOSES);
          this.store.dispatch({ type: "closes", symbol, bars });
        }
        if (!known?.signal) {
          const { signals } = await this.gateway.signals({ symbol, action: "" }, 1);
          this.store.dispatch({ type: "history", signals });
        }
      } catch (error) {
        this.note("others", error);
        return;
      }
    }
  }
}
