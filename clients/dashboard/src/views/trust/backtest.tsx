/** Run the model over stored bars by the steps of the live service, and compare up to three runs. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { type BacktestRequest, useAnalysis } from "../../data/analysis";
import { useRefusal } from "../../data/caller";
import { sentenceOf } from "../../data/gateway";
import { usePreferences } from "../../data/preferences";
import { useQuery } from "../../data/query";
import { useSelect } from "../../data/store";
import { MOST_RUNS, shownFigure, SHOWN, type BacktestRun } from "../../model/backtests";
import { counted, day, fullDay, integer, number, pair, share } from "../../model/format";
import { ordered } from "../../model/symbols";
import { Failed, Meter, Panel } from "../../ui/parts";
import { Plot } from "../../ui/plot";
import { EstimateCell } from "./estimate-cell";

const LINES = ["plot-a", "plot-b", "plot-c"];

interface Progress {
  readonly bars: number;
  readonly total: number;
}

export function Backtest(): JSX.Element {
  const analysis = useAnalysis();
  const selected = useSelect((state) => state.selected);
  const symbols = ordered(useSelect((state) => state.symbols));
  const refused = useRefusal("backtest");
  const models = useQuery(() => analysis.model());
  const [wanted, setWanted] = useState<BacktestRequest>({ symbol: selected, start: "", end: "", version: "", threshold: "", compare: true });
  const [progress, setProgress] = useState<Progress | undefined>(undefined);
  const [error, setError] = useState("");
  const [runs, setRuns] = useState<readonly BacktestRun[]>([]);
  const count = useRef(0);
  const call = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => call.current?.abort(), []);
  useEffect(() => setWanted((before) => (before.symbol ? before : { ...before, symbol: selected })), [selected]);

  const run = async (): Promise<void> => {
    const controller = new AbortController();
    call.current = controller;
    setError("");
    setProgress({ bars: 0, total: 0 });
    try {
      count.current += 1;
      const title = [wanted.symbol ? pair(wanted.symbol) : "All symbols", wanted.threshold && `≥ ${share(Number(wanted.threshold), 0)}`].filter(Boolean).join(", ");
      const result = await analysis.backtest(wanted, count.current, title, (bars, total) => setProgress({ bars, total }), controller.signal);
      setRuns((before) => [...before, result].slice(-MOST_RUNS));
    } catch (failure) {
      if (!controller.signal.aborted) setError(sentenceOf(failure));
    } finally {
      setProgress(undefined);
    }
  };
  const set = (name: keyof BacktestRequest) => (event: { currentTarget: HTMLInputElement | HTMLSelectElement }) => setWanted({ ...wanted, [name]: event.currentTarget.value });
  const versions = models.result.value?.model?.availableVersions ?? [];
  return (
    <Panel title="Backtest" id="backtest">
      <form
        class="body backtest-form"
        onSubmit={(event) => {
          event.preventDefault();
          void run();
        }}
      >
        <label>
          Symbol
          <select class="input" value={wanted.symbol} onChange={set("symbol")}>
            <option value="">All</option>
            {symbols.map(({ symbol }) => (
              <option key={symbol} value={symbol}>{pair(symbol)}</option>
            ))}
          </select>
        </label>
        <label>
          From, UTC
          <input class="input" type="date" value={wanted.start} onInput={set("start")} />
        </label>
        <label>
          Before, UTC
          <input class="input" type="date" value={wanted.end} onInput={set("end")} />
        </label>
        <label>
          Model
          <select class="input" value={wanted.version} onChange={set("version")}>
            <option value="">the newest</option>
            {versions.map((version) => (
              <option key={version} value={version}>{version}</option>
            ))}
          </select>
        </label>
        <label>
          Confidence threshold
          <input class="input" type="number" min="0" max="1" step="0.01" placeholder="as it is" value={wanted.threshold} onInput={set("threshold")} />
        </label>
        <label class="check">
          <input type="checkbox" checked={wanted.compare} onChange={() => setWanted({ ...wanted, compare: !wanted.compare })} />
          Compare with buy and hold, a coin, a moving average cross
        </label>
        {progress ? (
          <button key="cancel" type="button" class="button" onClick={() => call.current?.abort()}>
            Cancel
          </button>
        ) : (
          <button key="run" type="submit" class={refused ? "button" : "button button-main"} disabled={refused !== ""} aria-describedby={refused ? "backtest-refused" : undefined}>
            Run
          </button>
        )}
        {refused && <span class="note" id="backtest-refused" data-refused>{refused}</span>}
      </form>
      <div class="body" role="status">
        {progress && <Running progress={progress} />}
        {error && <Failed error={error} />}
      </div>
      {runs.length > 0 && <Results runs={runs} />}
    </Panel>
  );
}

function Running({ progress }: { progress: Progress }): JSX.Element {
  const { bars, total } = progress;
  const text = total ? `${integer(bars)} of ${counted(total, "bar")}` : "Reading bars";
  return (
    <div>
      <p class="note num">{text}</p>
      <Meter share={total ? bars / total : 0} tone="buy" label={text} />
    </div>
  );
}

function Results({ runs }: { runs: readonly BacktestRun[] }): JSX.Element {
  const { zone } = usePreferences().preferences;
  const newest = runs.at(-1)!;
  const columns = [...runs.map((run) => ({ name: `${run.number}. ${run.title}`, figures: run.figures, hint: "" })), ...newest.comparisons.map((each) => ({ name: each.name, figures: each.figures, hint: each.definition }))];
  const lines = runs.map((run, index) => ({ points: run.equity, class: LINES[index]! }));
  return (
    <div class="body" id="backtest-results" data-runs={runs.length}>
      {newest.equity.length > 1 && <Plot lines={lines} height={200} formatX={(x) => day(x, zone)} formatY={(y, digits) => number(y, digits)} label={`Equity of ${counted(runs.length, "run")}; the table has their figures`} />}
      <ul class="legend">
        {runs.map((run, index) => (
          <li key={run.number} class={LINES[index]}>
            <span aria-hidden="true" /> {run.number}. {run.title}: model {run.model}, {fullDay(run.firstBar, zone)} – {fullDay(run.lastBar, zone)}, {counted(run.bars, "bar")} in {number(run.seconds, 1)} s
          </li>
        ))}
      </ul>
      <div class="scroll-x" role="region" aria-label="Table of results" tabIndex={0}>
        <table class="table figures">
          <thead>
            <tr>
              <th scope="col">Figure</th>
              {columns.map(({ name, hint }) => (
                <th key={name} scope="col" class="right" title={hint}>{name}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {SHOWN.map(([key, name, format]) => (
              <tr key={key} data-figure={key}>
                <th scope="row">{name}</th>
                {columns.map((column) => (
                  <EstimateCell key={column.name} estimate={shownFigure(column.figures, key)} format={format} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {newest.rejections.length > 0 && (
        <details class="more-details">
          <summary>Why choices of run {newest.number} were not traded</summary>
          <ul class="reasons">
            {newest.rejections.slice(0, 12).map(({ rule, count }) => (
              <li key={rule}>
                <span class="num">{integer(count)}</span> · {rule}
              </li>
            ))}
          </ul>
        </details>
      )}
      <p class="note">By the steps of the live service, on stored bars, after costs. Small print: 95% interval by bootstrap over sessions, and n.</p>
    </div>
  );
}
