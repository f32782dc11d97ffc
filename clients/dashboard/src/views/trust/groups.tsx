/** Figures of the trades in groups, such as by symbol or by hour of the entry. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { pair, percent, sentence, signed } from "../../model/format";
import { DIMENSIONS, figure, groupsOf, inUnit, type Dimension, type Performance } from "../../model/performance";
import { gain } from "../../ui/parts";
import { EstimateCell } from "./estimate-cell";

const NAMES: Readonly<Record<Dimension, string>> = {
  SYMBOL: "Symbol",
  ACTION: "Side",
  CONFIDENCE: "Confidence",
  HOUR: "Hour of the entry, UTC",
  WEEKDAY: "Weekday",
  MONTH: "Month",
  MODEL_VERSION: "Version of the model",
  ORIGIN: "What the signal was made for",
  RESOLUTION: "How it ended",
};

function nameOf(dimension: Dimension, key: string): string {
  if (dimension === "SYMBOL") return pair(key);
  if (dimension === "HOUR") return `${key.padStart(2, "0")}:00`;
  if (dimension === "RESOLUTION" || dimension === "ORIGIN") return sentence(key);
  return key;
}

export function Groups({ performance }: { performance: Performance }): JSX.Element {
  const [dimension, setDimension] = useState<Dimension>("SYMBOL");
  const groups = groupsOf(performance, dimension);
  return (
    <div class="body">
      <label class="select">
        <span class="visually-hidden">Group by</span>
        <select value={dimension} onChange={(event) => setDimension(event.currentTarget.value as Dimension)}>
          {DIMENSIONS.map((each) => (
            <option key={each} value={each}>{NAMES[each]}</option>
          ))}
        </select>
      </label>
      <div class="scroll-x groups" role="region" aria-label="Table of groups" tabIndex={0}>
        <table class="table figures">
          <thead>
            <tr>
              <th scope="col">{NAMES[dimension]}</th>
              <th scope="col" class="right">Win rate</th>
              <th scope="col" class="right">Mean result</th>
              <th scope="col" class="right">Profit, {performance.currency}</th>
            </tr>
          </thead>
          <tbody>
            {groups.map(({ key, figures }) => (
              <tr key={key} data-key={key}>
                <th scope="row">{nameOf(dimension, key)}</th>
                <EstimateCell estimate={figure(figures, "win_rate_pct")} format={(value) => percent(value)} />
                <EstimateCell estimate={figure(figures, "expectancy_r")} format={(value) => inUnit(value, "R")} />
                <td class={`right num ${gain(figure(figures, "pnl").value)}`}>{signed(figure(figures, "pnl").value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}
