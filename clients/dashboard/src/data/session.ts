/** Feeds the store with the page's one stream, resumed for ever, and with lists. */

import { EpochChanged, EventsPruned, type BareClient, type Event } from "trading-signals-client";

import { SILENT, type ConnectionEvent } from "../model/connection";
import { keyProblem } from "../model/keys";
import type { LogEntry } from "../model/types";
import { actionsOf, type Actions } from "./actions";
import { tick } from "./clock";
import { entryOf } from "./convert";
import { apiKey, keepApiKey, setApiKey } from "./credentials";
import { Gateway, isDenied, isTemporary, sentenceOf } from "./gateway";
import { Lists } from "./lists";
import type { Store } from "./store";

/** Entries before the newest that the stream begins with: they have times of commits and recent bars of all symbols. */
const BACKLOG = 240;
const HEARTBEAT_SECONDS = 5;
const RETRY = 3_000;

type Follower = ReturnType<BareClient["follow"]>;

/** Where the stream goes on. */
interface Bookmark {
  readonly after: bigint;
  readonly epoch: string;
}

export class Session {
  readonly lists: Lists;
  readonly actions: Actions;
  private readonly gateway: Gateway;
  private follower: Follower | undefined;
  private pending: LogEntry[] = [];
  private flushing = false;
  private readonly channel = new MessageChannel();
  private ended = false;
  private suspended = false;
  private bookmark: Bookmark | undefined;
  private running = false;
  private timer = 0;
  /** Why the stream was dropped by the page itself, until that is reported. */
  private dropped: string | undefined;
  /** Goes on with another key. */
  private admitted: (() => void) | undefined;

  /** `symbol` is the one of the address, or empty. */
  constructor(
    private readonly store: Store,
    private readonly client: BareClient,
    symbol: string,
  ) {
    this.gateway = new Gateway(client);
    this.lists = new Lists(store, this.gateway, symbol, (error) => this.onDenied(error));
    this.actions = actionsOf(this.gateway, this.lists, this.tryKey);
    this.channel.port1.onmessage = () => this.flush();
  }

  start(): void {
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
  private readonly tryKey = async (text: string): Promise<string> => {
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
    void this.lists.readAll();
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
    if (this.store.state.controlSequence > halted) void this.lists.askAccountAfter(this.store.state.controlSequence);
    this.noteResponse();
    this.lists.chooseSymbol();
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

  /** The stream of a key that is no longer accepted ends too; opening it again says why. */
  private onDenied(error: unknown): void {
    if (this.store.state.connection.phase === "live") this.reconnect(sentenceOf(error));
  }

  private onNetwork(online: boolean): void {
    this.connection({ type: "network", now: Date.now(), online });
    if (online) this.reconnect("The network of this device has changed");
  }

  private connection(event: ConnectionEvent): void {
    const before = this.store.state.connection.phase;
    this.store.dispatch({ type: "connection", event });
    if (before !== "live" && this.store.state.connection.phase === "live") void this.lists.readCaller();
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
    this.lists.onTick(now, phase === "live", !document.hidden);
  }
}
