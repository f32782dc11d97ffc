/** Performance and calibration of what has been resolved, live beside shadow. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useActions } from "../../data/actions";
import { useCurrency } from "../../data/currency";
import { usePreferences } from "../../data/preferences";
import { useCalmed, useQuery } from "../../data/query";
import { useSelect } from "../../data/store";
import { fullDay, integer, NONE, number, sentence, share, signed } from "../../model/format";
import { calibrationOf, performanceOf, type Calibration, type Estimate, type Outcome, type Performance } from "../../model/outcomes";
import { Loaded } from "../../ui/loaded";
import { Choice, Empty, Meter, Panel } from "../../ui/parts";
import { useWidth } from "../../ui/plot";

const MOST = 3_000;

type Which = "acted" | "all";

export function Worth(): JSX.Element {
  const { gateway } = useActions();
  const outcomes = useCalmed(useSelect((state) => state.outcomes));
  const [which, setWhich] = useState<Which>("acted");
  const query = useQuery(async () => {
    const [live, shadow] = await Promise.all([gateway.outcomesUpTo(MOST, false), gateway.outcomesUpTo(MOST, true)]);
    return { live, shadow };
  }, [outcomes]);
  const chosen = (list: readonly Outcome[]): readonly Outcome[] => (which === "acted" ? list.filter((outcome) => outcome.acted) : list);
  return (
    <>
      <Panel title="What signals were worth" id="performance"
        aside={<Choice<Which> label="Which signals" value={which} onChange={setWhich} options={[["acted", "Traded"], ["all", "All"]]} />}>
        <Loaded query={query} label="outcomes" rows={6}>
          {({ live, shadow }) => <Figures live={chosen(live)} shadow={chosen(shadow)} all={live.length < MOST} />}
        </Loaded>
      </Panel>
      <Panel title="Win probability, forecast and result" id="calibration">
        <Loaded query={query} label="outcomes" rows={6}>
          {({ live }) => <Reliability calibration={calibrationOf(chosen(live))} />}
        </Loaded>
      </Panel>
    </>
  );
}

type Format = (value: number | undefined) => string;

function Figures({ live, shadow, all }: { live: readonly Outcome[]; shadow: readonly Outcome[]; all: boolean }): JSX.Element {
  const currency = useCurrency();
  const { zone } = usePreferences().preferences;
  if (!live.length && !shadow.length) return <Empty>Nothing has been resolved yet: a BUY or SELL is, when it reaches stop, target or another end.</Empty>;
  const columns: readonly (readonly [string, Performance])[] = [["Live", performanceOf(live)], ...(shadow.length ? [["Shadow", performanceOf(shadow)] as const] : [])];
  const inR: Format = (value) => (value === undefined ? NONE : `${signed(value)} R`);
  const rows: readonly (readonly [string, keyof Performance, Format])[] = [
    ["Win rate", "winRate", (value) => share(value)],
    ["Mean result", "meanR", inR],
    ["Average win", "averageWinR", inR],
    ["Average loss", "averageLossR", inR],
    ["Profit factor, in R", "profitFactor", (value) => number(value)],
    [`Sum, ${currency}`, "pnl", (value) => signed(value)],
  ];
  const first = live.at(-1) ?? shadow.at(-1);
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
            {rows.map(([name, key, format]) => (
              <tr key={key} data-figure={key}>
                <th scope="row">{name}</th>
                {columns.map(([column, figures]) => (
                  <EstimateCell key={column} estimate={figures[key] as Estimate} format={format} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {live.length > 0 && <Resolutions figures={columns[0]![1]} />}
      <p class="note">
        Filled at the close of the signal's bar, after costs{first && <>; {!all && `of the newest ${integer(MOST)} outcomes, `}since {fullDay(first.entryTime, zone)}</>}. Intervals are of 95%, Wilson's for the rate and normal for means, and too narrow where
        neighbouring signals share their future.
      </p>
    </div>
  );
}

/** A figure, its interval below it, and its number of cases. */
export function EstimateCell({ estimate, format }: { estimate: Estimate; format: Format }): JSX.Element {
  const { value, n, low, high } = estimate;
  return (
    <td class="right num">
      <strong>{format(value)}</strong>
      <br />
      <small>
        {low !== undefined && high !== undefined ? `${format(low)} to ${format(high)} · ` : ""}n {integer(n)}
      </small>
    </td>
  );
}

function Resolutions({ figures }: { figures: Performance }): JSX.Element {
  return (
    <ul class="bars" aria-label="How they ended, live">
      {figures.resolutions.map(({ name, n }) => (
        <li key={name}>
          <span>{sentence(name)}</span>
          <Meter share={n / figures.n} label={`${sentence(name)}: ${n} of ${figures.n}`} />
          <span class="num note">
            {integer(n)} · {share(n / figures.n, 0)}
          </span>
        </li>
      ))}
    </ul>
  );
}

const SIDE = 240;
const EDGE = 40;

/** Forecast against result: on the diagonal a forecast of 60% is won in 60% of the cases. */
function Reliability({ calibration }: { calibration: Calibration }): JSX.Element {
  const { ref, width } = useWidth();
  if (!calibration.n) return <Empty>No resolved signal had a win probability. Signals of a calibrated model have one.</Empty>;
  const size = Math.min(width, SIDE + EDGE);
  const at = (p: number): number => EDGE + p * (size - EDGE - 8);
  const up = (p: number): number => 8 + (1 - p) * (size - EDGE - 8);
  return (
    <div class="body calibration">
      <div class="plot" ref={ref}>
        <svg width={size} height={size} viewBox={`0 0 ${size} ${size}`} role="img" aria-label={`Share won by win probability, in ${calibration.bins.length} bins; the table has the numbers`}>
          {[0, 0.5, 1].map((p) => (
            <g key={p}>
              <line class="plot-grid" x1={at(0)} x2={at(1)} y1={up(p)} y2={up(p)} />
              <text class="plot-text" x={EDGE - 6} y={up(p) + 4} text-anchor="end">{share(p, 0)}</text>
              <text class="plot-text" x={at(p)} y={size - 12} text-anchor={p === 1 ? "end" : p === 0 ? "start" : "middle"}>{share(p, 0)}</text>
            </g>
          ))}
          <line class="plot-diagonal" x1={at(0)} y1={up(0)} x2={at(1)} y2={up(1)} />
          {calibration.bins.map(({ forecast, won }) => (
            <g key={forecast}>
              <line class="plot-a plot-line" x1={at(forecast)} x2={at(forecast)} y1={up(won.low ?? 0)} y2={up(won.high ?? 0)} />
              <circle class="plot-dot" cx={at(forecast)} cy={up(won.value ?? 0)} r={Math.min(9, 3 + Math.sqrt(won.n) / 4)} />
            </g>
          ))}
        </svg>
        <p class="note">Across: win probability. Up: share won, with its 95% interval. Dashed: as forecast.</p>
      </div>
      <table class="table figures">
        <thead>
          <tr>
            <th scope="col" class="right">Forecast</th>
            <th scope="col" class="right">Won</th>
          </tr>
        </thead>
        <tbody>
          {calibration.bins.map(({ forecast, won }) => (
            <tr key={forecast}>
              <th scope="row" class="right num">{share(forecast)}</th>
              <EstimateCell estimate={won} format={(value) => share(value)} />
            </tr>
          ))}
        </tbody>
      </table>
      <p class="note">
        Brier score <span class="num">{number(calibration.brier, 3)}</span>, of always forecasting the win rate <span class="num">{number(calibration.brierOfWinRate, 3)}</span>; lower is better, n{" "}
        <span class="num">{integer(calibration.n)}</span>.
      </p>
    </div>
  );
}
