/** Whether a win probability of 60% wins in 60% of the cases. */

import type { JSX } from "preact";

import { counted, integer, number, share } from "../../model/format";
import { figure, type Performance } from "../../model/performance";
import { Empty } from "../../ui/parts";
import { useWidth } from "../../ui/plot";
import { EstimateCell } from "./estimate-cell";

const SIDE = 240;
const EDGE = 40;

/** Forecast against result: on the diagonal a forecast of 60% is won in 60% of the cases. */
export function Reliability({ performance }: { performance: Performance }): JSX.Element {
  const { ref, width } = useWidth();
  const { bins, figures } = performance;
  const brier = figure(figures, "brier");
  if (!bins.length) return <Empty>No resolved signal had a win probability. Signals of a calibrated model have one.</Empty>;
  const size = Math.min(width, SIDE + EDGE);
  const at = (p: number): number => EDGE + p * (size - EDGE - 8);
  const up = (p: number): number => 8 + (1 - p) * (size - EDGE - 8);
  return (
    <div class="body calibration">
      <div class="plot" ref={ref}>
        <svg width={size} height={size} viewBox={`0 0 ${size} ${size}`} role="img" aria-label={`Share won by win probability, in ${counted(bins.length, "bin")}; the table has the numbers`}>
          {[0, 0.5, 1].map((p) => (
            <g key={p}>
              <line class="plot-grid" x1={at(0)} x2={at(1)} y1={up(p)} y2={up(p)} />
              <text class="plot-text" x={EDGE - 6} y={up(p) + 4} text-anchor="end">{share(p, 0)}</text>
              <text class="plot-text" x={at(p)} y={size - 12} text-anchor={p === 1 ? "end" : p === 0 ? "start" : "middle"}>{share(p, 0)}</text>
            </g>
          ))}
          <line class="plot-diagonal" x1={at(0)} y1={up(0)} x2={at(1)} y2={up(1)} />
          {bins.map(({ forecast, won }) => (
            <g key={forecast}>
              <line class="plot-a plot-line" x1={at(forecast)} x2={at(forecast)} y1={up(won.low ?? won.value ?? 0)} y2={up(won.high ?? won.value ?? 0)} />
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
          {bins.map(({ forecast, won }) => (
            <tr key={forecast} data-bin>
              <th scope="row" class="right num">{share(forecast)}</th>
              <EstimateCell estimate={won} format={(value) => share(value)} />
            </tr>
          ))}
        </tbody>
      </table>
      <p class="note">
        Brier score <span class="num" data-calibration="brier">{number(brier.value, 3)}</span>, of always forecasting the win rate <span class="num">{number(figure(figures, "brier_uncertainty").value, 3)}</span>; lower is better, n{" "}
        <span class="num">{integer(brier.n)}</span>.
      </p>
    </div>
  );
}
