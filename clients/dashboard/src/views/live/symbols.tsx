/** All symbols at a glance: which has a position, a new BUY or SELL, old bars. */

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { useActions } from "../../data/actions";
import { useSelect } from "../../data/store";
import { counted, pair, price, SIDE_MARKS, signedPercent } from "../../model/format";
import { liveHash } from "../../model/route";
import { isRead } from "../../model/state";
import { CLOSES, lastPrice, newestAction, ordered, type SymbolState } from "../../model/symbols";
import type { SymbolHealth } from "../../model/types";
import { classes, Empty, Failed, gain, Panel, Skeleton } from "../../ui/parts";

const SEARCH_FROM = 12;

export function SymbolList(): JSX.Element {
  const symbols = useSelect((state) => state.symbols);
  const health = useSelect((state) => state.health);
  const selected = useSelect((state) => state.selected);
  const read = useSelect(isRead);
  const failed = useSelect((state) => state.symbolsError);
  const actions = useActions();
  const [search, setSearch] = useState("");
  const all = ordered(symbols);
  const shown = all.filter((state) => state.symbol.includes(search.trim().toUpperCase().replace("/", "")));
  const healthOf = new Map(health.value?.symbols.map((symbol) => [symbol.symbol, symbol]));
  return (
    <Panel title="Symbols" id="symbols" aside={all.length > 0 && <span class="note">{all.length} · % / {CLOSES} bars</span>}>
      {all.length >= SEARCH_FROM && (
        <input type="search" class="input" placeholder="Find" aria-label="Find a symbol" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
      )}
      {failed && <Failed error={failed} retry={actions.retry} />}
      {all.length ? (
        <nav class="symbol-list" aria-label="Symbols">
          <ul>
            {shown.map((state) => (
              <li key={state.symbol}>
                <SymbolRow state={state} health={healthOf.get(state.symbol)} selected={state.symbol === selected} />
              </li>
            ))}
          </ul>
        </nav>
      ) : failed ? undefined : read ? (
        <Empty>No bar has come in yet.</Empty>
      ) : (
        <Skeleton rows={4} label="Loading symbols" />
      )}
    </Panel>
  );
}

function SymbolRow({ state, health, selected }: { state: SymbolState; health: SymbolHealth | undefined; selected: boolean }): JSX.Element {
  const { position, closes } = state;
  const last = lastPrice(state);
  const action = newestAction(state);
  const first = closes[0];
  const change = last !== undefined && first !== undefined && closes.length > 1 ? ((last - first) / first) * 100 : undefined;
  const stale = health?.stale === true;
  const row = useRef<HTMLAnchorElement>(null);
  // The symbols that are read after the selected one move it.
  const complete = useSelect((all) => all.symbolsRead);
  useEffect(() => {
    if (selected && row.current) reveal(row.current);
  }, [selected, complete]);
  // Of a thousand rows those that are as before are not compared again.
  return useMemo(
    () => (
      <a ref={row} class={classes("symbol", selected && "selected", state.unseen && "unseen", stale && "stale")} href={liveHash(state.symbol)} aria-current={selected ? "true" : undefined} data-symbol={state.symbol}>
        <span class="symbol-name">
          {pair(state.symbol)}
          {state.unseen && (
            <>
              {" "}
              <span class="symbol-new" title="A BUY or SELL since you last looked at it">
                <span class="visually-hidden">New</span>
              </span>
            </>
          )}
        </span>
        <span class="symbol-price num">{price(last)}</span>
        <span class="symbol-tags">
          {position && (
            <span class={`tag tag-${position.action.toLowerCase()}`}>
              {SIDE_MARKS[position.action]} {position.action === "BUY" ? "Long" : "Short"} <span class={classes("num", gain(position.pnlPct))}>{signedPercent(position.pnlPct)}</span>
            </span>
          )}
          {!position && action && (
            <span class={`tag tag-quiet side-${action.toLowerCase()}`}>
              {SIDE_MARKS[action]} {action}
            </span>
          )}
          {stale && <span class="tag tag-warn">Old bars</span>}
          {health?.undecided && <span class="tag tag-warn">Other interval</span>}
        </span>
        <span class={classes("symbol-change num", gain(change))} title={`Since the close ${counted(closes.length - 1, "bar")} before`}>{change === undefined ? "" : signedPercent(change)}</span>
      </a>
    ),
    [state, health, selected],
  );
}

/** Scroll the list, and nothing around it, so that a row is in sight. */
function reveal(row: HTMLElement): void {
  for (const list of [row.closest("ul"), row.closest("nav")]) {
    if (!list) continue;
    const [seen, at] = [list.getBoundingClientRect(), row.getBoundingClientRect()];
    list.scrollLeft += Math.min(0, at.left - seen.left) + Math.max(0, at.right - seen.right);
    list.scrollTop += Math.min(0, at.top - seen.top) + Math.max(0, at.bottom - seen.bottom);
  }
}
