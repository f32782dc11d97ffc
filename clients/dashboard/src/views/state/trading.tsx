/** Whether positions are opened, and what the account risks. */

import type { JSX } from "preact";

import { useActions } from "../../data/actions";
import { useNow } from "../../data/clock";
import { useSelect } from "../../data/store";
import { isKnownNow } from "../../model/connection";
import { capital, integer, MINUS, number, percent, share, signed } from "../../model/format";
import { inForce } from "../../model/protections";
import { classes, Failed, gain, Panel, Skeleton, Time } from "../../ui/parts";
import { AsOf, ReadAt } from "./facts";
import { KillSwitch } from "./kill-switch";

export function Trading(): JSX.Element {
  const account = useSelect((state) => state.account);
  const control = useSelect((state) => state.control);
  const health = useSelect((state) => state.health.value);
  const byHand = control?.halted === true;
  const bySetting = !byHand && health?.tradingHalted === true;
  const halted = byHand || bySetting;
  const limit = halted ? undefined : inForce(account.value?.protections ?? []);
  const actions = useActions();
  const known = account.value;
  useNow();
  const current = useSelect((state) => isKnownNow(state.connection, state.account.at, Date.now()));
  return (
    <Panel title="Trading" id="trading" aside={<AsOf known={current} at={account.at} />}>
      {account.state === "failed" && !known && <Failed error={`The account cannot be read: ${account.error}`} retry={actions.readAccount} />}
      {!known ? (
        account.state === "loading" && <Skeleton rows={4} label="Loading the account" />
      ) : (
        <div class={classes("body", !current && "old-values")}>
          {current ? (
            <p class={`status status-${halted ? "unhealthy" : limit ? "degraded" : "healthy"}`}>
              {halted ? "Halted" : limit ? "Limit reached" : "On"}{" "}
              <span class="status-note">{halted || limit ? "Signals go on, no position is opened." : "Signals open positions, if the rules allow it."}</span>
            </p>
          ) : (
            <p class="status status-unknown">
              Unknown{" "}
              <span class="status-note">
                {account.state === "failed" && `${account.error}. `}At <ReadAt at={account.at} /> trading was {halted ? "halted" : "on"}.
              </span>
            </p>
          )}
          {byHand && (
            <p class="note" data-trading="halt">
              {control.reason || "No reason was given"}
              {control.by && `, by ${control.by}`}, since <Time at={control.at} />.
            </p>
          )}
          {bySetting && <p class="note">{capital(health.tradingHaltReason)}.</p>}
          {current && limit && <p class="note warn">{limit.reason}.</p>}
          <KillSwitch halted={byHand} />
          <dl class="facts">
            <div>
              <dt>Equity, {known.currency}</dt>
              <dd class="num" data-trading="equity">{number(known.equity)}</dd>
            </div>
            <div>
              <dt>Today</dt>
              <dd class={`num ${gain(known.dayPnl)}`} data-trading="day">{signed(known.dayPnl)}</dd>
            </div>
            <div>
              <dt>Below its peak</dt>
              <dd class="num" data-trading="drawdown">
                {known.drawdown > 0 ? MINUS : ""}
                {number(known.drawdown)} <small>{percent(known.drawdownPct, 2)}</small>
              </dd>
            </div>
            <div>
              <dt>Exposure</dt>
              <dd class="num" data-trading="exposure">
                {share(known.exposure)} <small>{integer(known.openPositions)} open</small>
              </dd>
            </div>
          </dl>
        </div>
      )}
    </Panel>
  );
}
