/** Realised profit and loss of closed positions over time, and how far it is below its peak. */

import type { JSX } from "preact";

import { useActions } from "../../data/actions";
import { useCurrency } from "../../data/currency";
import { usePreferences } from "../../data/preferences";
import { useCalmed, useQuery } from "../../data/query";
import { useSelect } from "../../data/store";
import { day, fullDay, integer, MINUS, number, signed } from "../../model/format";
import { curveOf, type CurvePoint } from "../../model/outcomes";
import { Loaded } from "../../ui/loaded";
import { Empty, gain, Panel } from "../../ui/parts";
import { Plot } from "../../ui/plot";

const MOST = 2_000;

export function Equity(): JSX.Element {
  const { gateway } = useActions();
  const currency = useCurrency();
  const outcomes = useCalmed(useSelect((state) => state.outcomes));
  const query = useQuery(() => gateway.closedPositionsUpTo(MOST), [outcomes]);
  return (
    <Panel title="Profit and loss of closed positions" id="equity">
      <Loaded query={query} label="closed positions" rows={5}>
        {({ positions, more }) => {
          const curve = curveOf(positions.map((position) => ({ time: position.exitTime ?? 0, pnl: position.pnlAccount })));
          return curve.length ? <Curve curve={curve} more={more} currency={currency} /> : <Empty>No position has been closed yet.</Empty>;
        }}
      </Loaded>
    </Panel>
  );
}

function Curve({ curve, more, currency }: { curve: readonly CurvePoint[]; more: boolean; currency: string }): JSX.Element {
  const { zone } = usePreferences().preferences;
  const last = curve.at(-1)!;
  const deepest = curve.reduce((worst, point) => (point.drawdown > worst.drawdown ? point : worst));
  const formatX = (x: number): string => day(x, zone);
  return (
    <div class="body">
      <dl class="facts">
        <div>
          <dt>Realised, after costs</dt>
          <dd class={`num figure ${gain(last.value)}`} id="realised">
            {signed(last.value)} <small>{currency}</small>
          </dd>
        </div>
        <div>
          <dt>Deepest drawdown</dt>
          <dd class="num figure">
            {deepest.drawdown > 0 ? MINUS : ""}
            {number(deepest.drawdown)} <small>{currency}</small>
          </dd>
        </div>
        <div>
          <dt>Below the peak now</dt>
          <dd class="num figure">
            {last.drawdown > 0 ? MINUS : ""}
            {number(last.drawdown)} <small>{currency}</small>
          </dd>
        </div>
        <div>
          <dt>Closed positions</dt>
          <dd class="num figure">{integer(curve.length)}</dd>
        </div>
      </dl>
      <Plot lines={[{ points: curve.map(({ time, value }) => [time, value]), class: "plot-a", area: true }]} height={180} zero formatX={formatX} formatY={(y) => number(y, 0)}
        label={`Running profit and loss of ${curve.length} closed positions: ${signed(last.value)} ${currency} at the end`} />
      <Plot lines={[{ points: curve.map(({ time, drawdown }) => [time, -drawdown]), class: "plot-loss", area: true }]} height={90} zero formatX={formatX} formatY={(y) => number(y, 0)}
        label={`Drawdown from the peak: ${number(deepest.drawdown)} ${currency} at its deepest`} />
      <p class="note">
        {more ? `The newest ${integer(curve.length)} closed positions, since ${fullDay(curve[0]!.time, zone)}. ` : ""}Open positions are not counted.
      </p>
    </div>
  );
}
