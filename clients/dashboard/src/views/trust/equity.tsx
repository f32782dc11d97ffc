/** Equity of the account and how far it is below its peak, by bar or by day, open positions included. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useActions } from "../../data/actions";
import { useAnalysis } from "../../data/analysis";
import { usePreferences } from "../../data/preferences";
import { useCalmed, useQuery } from "../../data/query";
import { useSelect } from "../../data/store";
import { counted, dayClock, fullDay, day, integer, MINUS, NONE, number, percent, share, signed } from "../../model/format";
import type { Account, EquityPoint } from "../../model/types";
import { Loaded } from "../../ui/loaded";
import { Choice, Empty, gain, Panel } from "../../ui/parts";
import { Plot } from "../../ui/plot";

const MOST = 2_000;

type By = "BAR" | "DAY";

export function Equity(): JSX.Element {
  const { gateway } = useActions();
  const analysis = useAnalysis();
  const [by, setBy] = useState<By>("BAR");
  const applied = useCalmed(useSelect((state) => state.applied));
  const query = useQuery(
    async () => {
      const [account, equity] = await Promise.all([gateway.account(), analysis.equity(by, MOST)]);
      return { account, ...equity };
    },
    [applied],
    by,
  );
  return (
    <Panel title="Account" id="equity" aside={<Choice<By> label="Points" value={by} onChange={setBy} options={[["BAR", "By bar"], ["DAY", "By day"]]} />}>
      <Loaded query={query} label="the account" rows={5}>
        {({ account, points, more }) => (
          <div class="body">
            <Facts account={account} />
            {points.length > 1 ? <Curve account={account} points={points} by={by} more={more} /> : <Empty>Its curve begins with the second {by === "BAR" ? "bar" : "session"}.</Empty>}
          </div>
        )}
      </Loaded>
    </Panel>
  );
}

function Facts({ account }: { account: Account }): JSX.Element {
  const profit = account.realised + account.unrealised;
  return (
    <dl class="facts account-facts" data-through={account.through}>
      <div>
        <dt>Equity, {account.currency}</dt>
        <dd class="num figure" data-account="equity">{number(account.equity)}</dd>
        <dd class="num note">of {number(account.initial, Number.isInteger(account.initial) ? 0 : 2)} at first</dd>
      </div>
      <div>
        <dt>Profit, after costs</dt>
        <dd class={`num figure ${gain(profit)}`} data-account="profit">{signed(profit)}</dd>
        <dd class="num note" data-account="realised">
          {signed(account.realised)} of {integer(account.closedPositions)} closed
        </dd>
      </div>
      <div>
        <dt>Open positions</dt>
        <dd class={`num figure ${gain(account.unrealised)}`} data-account="unrealised">{account.openPositions ? signed(account.unrealised) : NONE}</dd>
        <dd class="num note">
          {integer(account.openPositions)} open · {share(account.exposure, 1)}
        </dd>
      </div>
      <div>
        <dt>Below its peak</dt>
        <dd class="num figure" data-account="drawdown">
          {account.drawdown > 0 ? MINUS : ""}
          {number(account.drawdown)}
        </dd>
        <dd class="num note">{percent(account.drawdownPct, 2)} of the peak</dd>
      </div>
    </dl>
  );
}

function Curve({ account, points, by, more }: { account: Account; points: readonly EquityPoint[]; by: By; more: boolean }): JSX.Element {
  const { zone } = usePreferences().preferences;
  const last = points.at(-1)!;
  const deepest = points.reduce((worst, point) => (point.drawdown > worst.drawdown ? point : worst));
  const formatX = (x: number): string => (by === "BAR" && last.time - points[0]!.time < 4 * 86_400_000 ? dayClock(x, zone) : day(x, zone));
  const kind = by === "BAR" ? "bar" : "session";
  return (
    <>
      <Plot name="equity" lines={[{ points: points.map(({ time, equity }) => [time, equity - account.initial]), class: "plot-a", area: true }]} height={180} zero formatX={formatX} formatY={(y, digits) => number(account.initial + y, digits)}
        label={`Equity after each of ${counted(points.length, kind)}: ${number(last.equity)} ${account.currency} at the end`} />
      <Plot name="drawdown" lines={[{ points: points.map(({ time, drawdownPct }) => [time, -drawdownPct]), class: "plot-loss", area: true }]} height={90} zero formatX={formatX} formatY={(y, digits) => percent(Math.abs(y), digits)}
        label={`Drawdown from the peak: ${percent(deepest.drawdownPct, 2)} at its deepest`} />
      <p class="note">
        {more ? `The newest ${counted(points.length, kind)}, since ${fullDay(points[0]!.time, zone)}. ` : ""}Above: equity, the line across is the initial one. Below: percent under the peak, at most{" "}
        <span class="num">{percent(deepest.drawdownPct, 2)}</span> on {dayClock(deepest.time, zone)}. Open positions count as if they were closed.
      </p>
    </>
  );
}
