/** The newest signal of the symbol one looks at: what a trader reads first. */

import type { JSX } from "preact";

import { useServerNow } from "../../data/clock";
import { useSelect } from "../../data/store";
import { usePreferences } from "../../data/preferences";
import { intervalMs } from "../../model/bars";
import { isCurrent } from "../../model/connection";
import { age, ago, clock, counted, dayClock, moment, NONE, pair, price, share, SIDE_MARKS, signedPercent, words } from "../../model/format";
import { shownLevels, type Levels } from "../../model/levels";
import { explainHash, liveHash } from "../../model/route";
import { isRead, isUnknownSymbol, symbolToShow } from "../../model/state";
import type { SymbolState } from "../../model/symbols";
import type { Position, Signal } from "../../model/types";
import { marketTime, validityOf } from "../../model/validity";
import { classes, Failed, gain, Meter, Side, Skeleton, useStyle } from "../../ui/parts";

export function Headline({ retry }: { retry: () => void }): JSX.Element {
  const selected = useSelect((state) => state.selected);
  const symbol = useSelect((state) => state.symbols.get(state.selected));
  const failed = useSelect((state) => (state.selected ? state.chart.error : state.listed ? state.symbolsError : state.positionsError));
  const read = useSelect((state) => (state.selected ? state.chart.read : isRead(state)));
  const current = useSelect((state) => isCurrent(state.connection));
  const signal = symbol?.signal;
  return (
    <section class={classes("panel", "headline", !current && "old")} aria-label="Newest signal" id="headline" data-sequence={signal?.sequence}>
      {signal ? (
        <Content symbol={symbol} signal={signal} />
      ) : failed && !read ? (
        <Failed error={failed} retry={retry} />
      ) : read ? (
        <NoSignal symbol={selected} />
      ) : (
        <Skeleton rows={3} label="Loading the newest signal" />
      )}
    </section>
  );
}

function NoSignal({ symbol }: { symbol: string }): JSX.Element {
  const bars = useSelect((state) => state.chart.bars.length);
  const unknown = useSelect(isUnknownSymbol);
  const other = useSelect(symbolToShow);
  if (!symbol) {
    return (
      <div class="empty">
        <strong>No bar has come in yet.</strong> A feed delivers them, or <code>POST /api/market/bars</code>: <a href="/docs">how to publish bars</a>.
      </div>
    );
  }
  if (unknown) {
    return (
      <div class="empty" data-unknown={symbol}>
        <strong class="wrap">The service does not know {pair(symbol)}:</strong> it has no bar and no signal of it. <a href={liveHash(other)}>{other ? `Show ${pair(other)}` : "Back to Live"}</a>
      </div>
    );
  }
  return (
    <div class="empty">
      <strong>No signal of {pair(symbol)} yet.</strong> {counted(bars, "bar")} {bars === 1 ? "is" : "are"} known; indicators need 50.
    </div>
  );
}

function Content({ symbol, signal }: { symbol: SymbolState; signal: Signal }): JSX.Element {
  const tone = signal.action.toLowerCase();
  return (
    <>
      <div class={`headline-main headline-${tone}`}>
        <p class="headline-action">
          <span class="headline-mark" aria-hidden="true">
            {SIDE_MARKS[signal.action]}
          </span>
          {signal.action}
        </p>
        <p class="headline-symbol">
          <strong>{pair(signal.symbol)}</strong> <span class="headline-price num">{price(signal.price)}</span>
        </p>
        <Since symbol={symbol} signal={signal} />
        <ValidUntil symbol={symbol} signal={signal} />
      </div>
      <Sureness signal={signal} />
      <LevelsShown signal={signal} position={symbol.position} last={symbol.lastBar?.close ?? signal.price} />
      <Why signal={signal} />
    </>
  );
}

/** Since when the action holds, by the market's clock, and when the newest signal came. */
function Since({ symbol, signal }: { symbol: SymbolState; signal: Signal }): JSX.Element {
  const now = useServerNow();
  const clockIsKnown = useSelect((state) => state.clock !== undefined);
  const { zone } = usePreferences().preferences;
  const since = symbol.actionSince;
  const committed = signal.committed ?? symbol.barCommitted;
  return (
    <p class="headline-since quiet">
      {since && (
        <>
          since {since.exact ? "" : "at least "}
          <span class="num">{moment(since.time, zone, now)}</span>
          {signal.time > since.time && <>, <span class="num">{age(signal.time - since.time)}</span></>}
        </>
      )}
      <br />
      {committed !== undefined && clockIsKnown && (
        <>
          last decided <span class="num">{ago(now - committed)}</span>
        </>
      )}
    </p>
  );
}

/** Until when it may be acted on, and whether that is over by the time of its market. */
function ValidUntil({ symbol, signal }: { symbol: SymbolState; signal: Signal }): JSX.Element | null {
  const now = useServerNow();
  const { zone } = usePreferences().preferences;
  const feed = useSelect((state) => state.info.value?.feed);
  const at = marketTime(now, feed, symbol.lastBar);
  const validity = validityOf(signal, at);
  if (validity === "unknown") return null;
  return (
    <p class="headline-since quiet" data-validity={validity}>
      {validity === "never" ? (
        "valid at no time: nothing may be opened"
      ) : (
        <>
          valid until <span class="num">{moment(signal.validUntil!, zone, at)}</span> {validity === "expired" && <strong class="tag tag-warn">expired</strong>}
        </>
      )}
    </p>
  );
}

function Sureness({ signal }: { signal: Signal }): JSX.Element {
  const win = signal.winProbability;
  return (
    <dl class="headline-sure">
      <div>
        <dt>Confidence</dt>
        <dd class="num">{share(signal.confidence)}</dd>
        <dd>
          <Meter share={signal.confidence} tone={signal.action.toLowerCase()} label={`Confidence ${share(signal.confidence)}`} />
        </dd>
      </div>
      <div>
        <dt>Win probability</dt>
        <dd class="num">
          {win === undefined ? NONE : share(win)} {win !== undefined && <small>n {signal.winCases}</small>}
        </dd>
        {win === undefined ? (
          <dd class="note">{signal.action === "HOLD" ? "of trades only" : "not calibrated here"}</dd>
        ) : (
          <dd>
            <Meter share={win} mark={0.5} tone={signal.action.toLowerCase()} label={`Win probability ${share(win)} of ${counted(signal.winCases ?? 0, "case")}`} />
          </dd>
        )}
      </div>
    </dl>
  );
}

/** Levels in force with the last price, and apart from them what the signal proposed. */
export function LevelsShown({ signal, position, last }: { signal: Signal; position: Position | undefined; last: number }): JSX.Element {
  const { held, proposed } = shownLevels(signal, position);
  const { zone } = usePreferences().preferences;
  if (!held && !proposed) return <p class="headline-levels note levels-none">No stop, no target: {signal.action === "HOLD" ? "a HOLD has none" : "unknown"}</p>;
  return (
    <div class="headline-levels">
      {held && (
        <div data-levels="position">
          <p class="levels-of">
            <Side action={held.action} long /> <span class="num">{price(held.entry, last)}</span> <span class="note">open since <span class="num">{dayClock(held.since, zone)}</span></span>
          </p>
          <LevelLine levels={held} last={last} />
          <p class="note">
            Size <span class="num">{share(held.size, 1)}</span> of equity · <span class={classes("num", gain(held.pnlPct))}>{signedPercent(held.pnlPct)}</span>
          </p>
        </div>
      )}
      {held && proposed && (
        <p class="note" data-levels="proposed">
          This {signal.action} did not open the position. It proposed stop <span class="num">{price(proposed.stop, last)}</span>, target <span class="num">{price(proposed.target, last)}</span>: not in force.
        </p>
      )}
      {!held && proposed && (
        <div data-levels="proposed">
          <p class="levels-of note">Proposed by the signal. No position is open.</p>
          <LevelLine levels={proposed} last={last} />
          <p class="note num">
            Reward to risk {proposed.ratio?.toFixed(1) ?? NONE} · size {share(proposed.size, 1)} of equity
          </p>
        </div>
      )}
    </div>
  );
}

/** Stop, entry and target on one line, with the last price. */
export function LevelLine({ levels, last }: { levels: Levels; last: number }): JSX.Element {
  const { entry, stop, target } = levels;
  const place = (value: number): string => String(target === stop ? 0 : Math.min(1, Math.max(0, (value - stop) / (target - stop))));
  const entryMark = useStyle({ "--at": place(entry) });
  const lastMark = useStyle({ "--at": place(last) });
  const distance = (level: number): string => signedPercent(((level - entry) / entry) * 100);
  return (
    <>
      <dl class="levels">
        <div class="loss">
          <dt>Stop</dt>
          <dd class="num" data-level="stop">{price(stop, entry)}</dd>
          <dd class="num note">{distance(stop)}</dd>
        </div>
        <div>
          <dt>Last</dt>
          <dd class="num" data-level="last">{price(last, entry)}</dd>
          <dd class="num note">{distance(last)}</dd>
        </div>
        <div class="gain">
          <dt>Target</dt>
          <dd class="num" data-level="target">{price(target, entry)}</dd>
          <dd class="num note">{distance(target)}</dd>
        </div>
      </dl>
      <span class="ladder" aria-hidden="true">
        <span class="ladder-entry" ref={entryMark} />
        <span class="ladder-last" ref={lastMark} />
      </span>
    </>
  );
}

/** The reasons of a signal that are not shown as numbers beside them. */
export function otherReasons(signal: Signal): readonly string[] {
  return signal.reasons.filter((reason) => !/^(Model confidence|Win probability):/.test(reason));
}

function Why({ signal }: { signal: Signal }): JSX.Element {
  const { zone } = usePreferences().preferences;
  const now = useServerNow();
  const reasons = otherReasons(signal);
  const interval = useSelect((state) => state.symbols.get(signal.symbol)?.lastBar?.interval ?? "5m");
  return (
    <div class="headline-why">
      <ul class="reasons">
        {reasons.map((reason, index) => (
          <li key={index}>{reason}</li>
        ))}
      </ul>
      <p class="note">
        {signal.barTime !== undefined && (
          <>
            On the {interval} bar of <span class="num">{moment(signal.barTime, zone, now)}–{clock(signal.barTime + intervalMs(interval), zone)}</span>
            {(signal.barAgeSeconds ?? 0) > 0 && <span class="warn"> {age(signal.barAgeSeconds! * 1000)} old</span>}
            {" · "}
          </>
        )}
        {signal.modelType} {signal.model}
        {signal.regime && <> · {words(signal.regime)}</>}
        {signal.trend && <>, {words(signal.trend)}</>}
        {" · "}
        <a href={explainHash(signal.id)}>Explain</a>
      </p>
    </div>
  );
}

