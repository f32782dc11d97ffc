/** Signals, the newest first, with filters; older ones are read as one scrolls. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useActions } from "../../data/actions";
import { useClockOffset, useServerNow } from "../../data/clock";
import { useSelect } from "../../data/store";
import { usePreferences } from "../../data/preferences";
import { clock, day, moment, integer, NONE, pair, price, share, sentence, ZONE_NAMES, type Zone } from "../../model/format";
import { ALL, type Filter } from "../../model/rows";
import { explainHash } from "../../model/route";
import type { Action, Signal } from "../../model/types";
import { Choice, classes, Empty, Failed, Panel, Side, Skeleton } from "../../ui/parts";
import { Sheet } from "../../ui/sheet";
import { VirtualList } from "../../ui/virtual-list";
import { LevelLine, otherReasons } from "./headline";

const ROW = 34;
const FRESH = 4_000;
const ACTIONS: readonly (readonly [Action | "", string])[] = [
  ["", "All"],
  ["BUY", "Buy"],
  ["SELL", "Sell"],
  ["HOLD", "Hold"],
];

export function Signals(): JSX.Element {
  const list = useSelect((state) => state.list);
  const actions = useActions();
  const { zone } = usePreferences().preferences;
  const [open, setOpen] = useState<Signal | undefined>(undefined);
  const offset = useClockOffset();
  return (
    <Panel title="Signals" id="signals" aside={<Loaded zone={zone} count={list.read ? list.rows.length : undefined} />}>
      <Filters filter={list.filter} onChange={actions.filter} />
      {list.error && !list.rows.length ? (
        <Failed error={list.error} retry={actions.loadMore} />
      ) : !list.read && !list.rows.length ? (
        <Skeleton rows={8} label="Loading signals" />
      ) : !list.rows.length && list.nextToken === "" ? (
        <Empty>
          {list.filter === ALL ? "No signal yet." : "No signal passes the filter."}{" "}
          {list.filter !== ALL && (
            <button type="button" class="link" onClick={() => actions.filter(ALL)}>
              Clear the filter
            </button>
          )}
        </Empty>
      ) : (
        <VirtualList
          items={list.rows}
          keyOf={(signal) => signal.sequence}
          rowHeight={ROW}
          label="Signals, the newest first"
          row={(signal) => <Row signal={signal} />}
          rowClass={(signal) => classes(`row-${signal.action.toLowerCase()}`, signal.committed !== undefined && Date.now() + offset - signal.committed < FRESH && "fresh")}
          onOpen={setOpen}
          onEnd={actions.loadMore}
          onTop={actions.listTop}
          after={list.error ? <Failed error={list.error} retry={actions.loadMore} /> : undefined}
        />
      )}
      {open && <SignalSheet signal={open} onClose={() => setOpen(undefined)} />}
    </Panel>
  );
}

function Loaded({ zone, count }: { zone: Zone; count: number | undefined }): JSX.Element {
  return (
    <span class="note">
      <span class="signals-zone">{ZONE_NAMES[zone]} · </span>
      <span class="num" aria-label="Signals loaded">
        {count === undefined ? "" : integer(count)}
      </span>
    </span>
  );
}

function Filters({ filter, onChange }: { filter: Filter; onChange: (filter: Filter) => void }): JSX.Element {
  const symbol = useSelect((state) => state.selected);
  const change = (changes: Partial<Filter>): void => {
    const next = { ...filter, ...changes };
    onChange(next.action === "" && next.symbol === "" && next.minConfidence === 0 ? ALL : next);
  };
  const only = filter.symbol !== "";
  return (
    <div class="filters">
      <Choice label="Action" value={filter.action} options={ACTIONS} onChange={(action) => change({ action })} />
      <label class="check">
        <input type="checkbox" checked={only} disabled={!symbol && !only} onChange={() => change({ symbol: only ? "" : symbol })} />
        Only {pair(filter.symbol || symbol || "this")}
      </label>
      <label class="select">
        <span class="visually-hidden">Least confidence</span>
        <select value={String(filter.minConfidence)} onChange={(event) => change({ minConfidence: Number(event.currentTarget.value) })}>
          <option value="0">any %</option>
          <option value="0.5">≥ 50%</option>
          <option value="0.65">≥ 65%</option>
          <option value="0.8">≥ 80%</option>
          <option value="0.9">≥ 90%</option>
        </select>
      </label>
    </div>
  );
}

function Row({ signal }: { signal: Signal }): JSX.Element {
  const { zone } = usePreferences().preferences;
  const offset = useClockOffset();
  const time = clock(signal.time, zone);
  return (
    <div class="signal" data-sequence={signal.sequence}>
      <span class="signal-time num">
        {time !== moment(signal.time, zone, Date.now() + offset) && <small>{day(signal.time, zone)} </small>}
        {time}
      </span>
      <span class="signal-symbol" title={pair(signal.symbol)}>{pair(signal.symbol)}</span>
      <Side action={signal.action} />
      <span class="signal-share num">{share(signal.confidence)}</span>
      <span class="signal-price num">{price(signal.price)}</span>
      <span class="signal-why">{otherReasons(signal)[0]}</span>
    </div>
  );
}

function SignalSheet({ signal, onClose }: { signal: Signal; onClose: () => void }): JSX.Element {
  const { zone } = usePreferences().preferences;
  const now = useServerNow();
  return (
    <Sheet title={`${signal.action} ${pair(signal.symbol)}`} onClose={onClose}>
      <p class="sheet-lead">
        <strong class="num">{price(signal.price)}</strong> <span class="num">{moment(signal.time, zone, now)}</span>
      </p>
      {signal.simulated && <p class="tag tag-warn">Simulated</p>}
      <Proposed signal={signal} />
      <ul class="reasons">
        {otherReasons(signal).map((reason, index) => (
          <li key={index}>{reason}</li>
        ))}
      </ul>
      <dl class="facts">
        <Fact name="Confidence">{share(signal.confidence)}</Fact>
        <Fact name="Win probability">{signal.winProbability === undefined ? "–" : `${share(signal.winProbability)} (n ${signal.winCases})`}</Fact>
        <Fact name="Valid until">{signal.validUntil === undefined ? NONE : signal.validUntil <= signal.time ? "at no time" : moment(signal.validUntil, zone, now)}</Fact>
        <Fact name="Made for">{sentence(signal.origin || "unknown")}</Fact>
        <Fact name="Model">
          {signal.modelType} {signal.model}
        </Fact>
        <Fact name="Decided in">{signal.latencyMs.toFixed(2)} ms</Fact>
        <Fact name="Sequence">{integer(signal.sequence)}</Fact>
      </dl>
      <p>
        <a class="button button-main" href={explainHash(signal.id)}>
          Explain this signal
        </a>
      </p>
    </Sheet>
  );
}

/** The levels of the signal as it was made; whether they are in force is said beside them. */
function Proposed({ signal }: { signal: Signal }): JSX.Element {
  const symbol = useSelect((state) => state.symbols.get(signal.symbol));
  const { stop, target, price: entry } = signal;
  if (stop === undefined || target === undefined) return <p class="note">No stop, no target: {signal.action === "HOLD" ? "a HOLD has none" : "unknown"}</p>;
  const position = symbol?.position;
  return (
    <div data-levels="proposed">
      <p class="note">{position?.signalId === signal.id ? "Proposed by this signal, which opened the position that is open" : position ? "Proposed by this signal. The open position has its own stop and target" : "Proposed by this signal. No position is open now"}.</p>
      <LevelLine levels={{ entry, stop, target }} last={symbol?.lastBar?.close ?? entry} />
      <p class="note num">
        Reward to risk {signal.ratio?.toFixed(1) ?? NONE} · size {share(signal.size, 1)} of equity
      </p>
    </div>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="num">{children}</dd>
    </div>
  );
}
