/** What signals were worth: figures, calibration and groups that the service computes of outcomes, live beside shadow. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useAnalysis } from "../../data/analysis";
import { usePreferences } from "../../data/preferences";
import { useCalmed, useQuery } from "../../data/query";
import { useSelect } from "../../data/store";
import { counted, fullDay, integer, percent, sentence, share, signed } from "../../model/format";
import { endings, figure, inUnit, titleOf, type Performance } from "../../model/performance";
import { Loaded } from "../../ui/loaded";
import { Choice, Empty, Meter, Panel } from "../../ui/parts";
import { EstimateCell, type Format } from "./estimate-cell";
import { Groups } from "./groups";
import { Reliability } from "./reliability";

/** The service computes for seconds, so it is asked again at most once in so many milliseconds. */
const PAUSE = 60_000;

type Which = "POSITIONS" | "SIGNALS";

interface Compared {
  readonly live: Performance;
  readonly shadow: Performance | undefined;
}

export function Worth(): JSX.Element {
  const analysis = useAnalysis();
  const outcomes = useCalmed(useSelect((state) => state.outcomes), PAUSE);
  const [which, setWhich] = useState<Which>("POSITIONS");
  const query = useQuery<Compared>(
    async () => {
      const live = await analysis.performance(which, false);
      // A shadow model opens no position: beside it stand all signals of the live one.
      const compared = which === "SIGNALS" && (await analysis.outcomes(true, 1)).outcomes.length > 0;
      return { live, shadow: compared ? await analysis.performance("SIGNALS", true) : undefined };
    },
    [outcomes],
    which,
  );
  const aside = <Choice<Which> label="Which signals" value={which} onChange={setWhich} options={[["POSITIONS", "Traded"], ["SIGNALS", "All, and shadow"]]} />;
  return (
    <>
      <Panel title="What signals were worth" id="performance" aside={aside}>
        <Loaded query={query} label="statistics, which takes some seconds" rows={6}>
          {({ live, shadow }) => (figure(live.figures, "trades").value || shadow ? <Figures live={live} shadow={shadow} /> : <Nothing />)}
        </Loaded>
      </Panel>
      <Panel title="Win probability, forecast and result" id="calibration">
        <Loaded query={query} label="statistics" rows={6}>
          {({ live }) => <Reliability performance={live} />}
        </Loaded>
      </Panel>
      <Panel title="By group" id="groups">
        <Loaded query={query} label="statistics" rows={6}>
          {({ live }) => (live.groups.length ? <Groups performance={live} /> : <Nothing />)}
        </Loaded>
      </Panel>
    </>
  );
}

function Nothing(): JSX.Element {
  return <Empty>Nothing has been resolved yet: a BUY or SELL is, when it reaches stop, target or another end.</Empty>;
}

const SHOWN: readonly (readonly [string, string, Format])[] = [
  ["win_rate_pct", "Win rate", (value) => percent(value)],
  ["expectancy_r", "Mean result", (value) => inUnit(value, "R")],
  ["average_win_r", "Average win", (value) => inUnit(value, "R")],
  ["average_loss_r", "Average loss", (value) => inUnit(value, "R")],
  ["profit_factor", "Profit factor", (value) => inUnit(value, "ratio")],
  ["pnl", "Profit", signed],
];

const OF_ACCOUNT: readonly (readonly [string, string, Format])[] = [
  ["max_drawdown_pct", "Deepest drawdown", (value) => percent(value, 2)],
  ["sharpe", "Sharpe ratio", (value) => inUnit(value, "ratio")],
];

function Figures({ live, shadow }: { live: Performance; shadow: Performance | undefined }): JSX.Element {
  const { zone } = usePreferences().preferences;
  const columns: readonly (readonly [string, Performance])[] = [["Live", live], ...(shadow ? [["Shadow", shadow] as const] : [])];
  const rows = [...SHOWN, ...OF_ACCOUNT.filter(([key]) => figure(live.figures, key).n > 0)];
  const first = live.start ?? shadow?.start;
  return (
    <div class="body">
      <div class="scroll-x" role="region" aria-label="Table of figures" tabIndex={0}>
        <table class="table figures">
          <thead>
            <tr>
              <th scope="col">Figure</th>
              {columns.map(([name]) => (
                <th key={name} scope="col" class="right">{name}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(([key, name, format]) => (
              <tr key={key} data-figure={key}>
                <th scope="row">{key === "pnl" ? `${name}, ${live.currency}` : name}</th>
                {columns.map(([column, { figures }]) => (
                  <EstimateCell key={column} estimate={figure(figures, key)} format={format} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Endings performance={live} />
      <p class="note">
        Filled at the close of the signal's bar, after costs{first !== undefined && <>; {live.truncated && "of the newest 20,000 outcomes, "}since {fullDay(first, zone)}</>}. Intervals are of 95%, by bootstrap over sessions, and absent with fewer
        than ten.
        {live.simulated && <span class="warn"> Simulated signals are among them.</span>}
      </p>
      <AllFigures columns={columns} />
    </div>
  );
}

/** Everything that the service computes, for who looks for it. */
function AllFigures({ columns }: { columns: readonly (readonly [string, Performance])[] }): JSX.Element {
  const figures = [...(columns[0]?.[1].figures.values() ?? [])].filter((each) => columns.some(([, { figures: own }]) => figure(own, each.name).value !== undefined));
  return (
    <details class="more-details">
      <summary>All {counted(figures.length, "figure")}</summary>
      <div class="scroll-x all-figures" role="region" aria-label="Table of all figures" tabIndex={0}>
        <table class="table figures">
          <thead>
            <tr>
              <th scope="col">Figure</th>
              {columns.map(([name]) => (
                <th key={name} scope="col" class="right">{name}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {figures.map((each) => (
              <tr key={each.name} data-any={each.name}>
                <th scope="row">{titleOf(each, columns[0]?.[1].currency ?? "")}</th>
                {columns.map(([column, { figures: own }]) => (
                  <EstimateCell key={column} estimate={figure(own, each.name)} format={(value) => inUnit(value, each.unit)} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="note">
        <a href="/docs#GetPerformance">Their definitions</a>
      </p>
    </details>
  );
}

function Endings({ performance }: { performance: Performance }): JSX.Element | null {
  const all = figure(performance.figures, "trades").value ?? 0;
  if (!all) return null;
  return (
    <ul class="bars" aria-label="How they ended, live">
      {endings(performance).map(({ name, n }) => (
        <li key={name}>
          <span>{sentence(name)}</span>
          <Meter share={n / all} label={`${sentence(name)}: ${n} of ${all}`} />
          <span class="num note">
            {integer(n)} · {share(n / all, 0)}
          </span>
        </li>
      ))}
    </ul>
  );
}
