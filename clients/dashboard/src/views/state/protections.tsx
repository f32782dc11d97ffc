/** Every protection: its limit, how near the account is to it, and until when it keeps positions from being opened. */

import type { JSX } from "preact";

import { useNow } from "../../data/clock";
import { usePreferences } from "../../data/preferences";
import { useSelect } from "../../data/store";
import { isKnownNow } from "../../model/connection";
import { dayClock } from "../../model/format";
import { protectionText } from "../../model/protections";
import { classes, Panel, Skeleton, Time } from "../../ui/parts";
import { AsOf } from "./facts";

export function Protections(): JSX.Element {
  const account = useSelect((state) => state.account);
  const { zone } = usePreferences().preferences;
  useNow();
  const current = useSelect((state) => isKnownNow(state.connection, state.account.at, Date.now()));
  const known = account.value;
  return (
    <Panel title="Protections" id="protections" aside={<AsOf known={current} at={account.at} />}>
      {!known ? (
        account.state === "loading" && <Skeleton rows={5} label="Loading protections" />
      ) : (
        <>
          <div class={classes("scroll-x", !current && "old-values")} role="region" aria-label="Table of protections" tabIndex={0}>
            <table class="table">
              <thead>
                <tr>
                  <th scope="col">Protection</th>
                  <th scope="col" class="right">Now</th>
                  <th scope="col" class="right">Limit</th>
                  <th scope="col">State</th>
                </tr>
              </thead>
              <tbody>
                {known.protections.map((protection) => {
                  const { title, value, limit, state, tone } = protectionText(protection, (ms) => dayClock(ms, zone));
                  return (
                    <tr key={protection.name} data-protection={protection.name}>
                      <th scope="row">
                        {title}
                        <br />
                        <small>{protection.name.split("_").map((part, index) => (index ? [<wbr />, `_${part}`] : part))}</small>
                      </th>
                      <td class={classes("right num", tone === "off" && "quiet")}>{value}</td>
                      <td class={classes("right num", tone === "off" && "quiet")}>{limit}</td>
                      <td class={current && tone === "reached" ? "warn" : "quiet"}>{current ? state : "unknown"}</td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
          <p class="note below">
            {known.asOf === undefined ? "No bar has come in yet." : <>As of the bar that closed at <Time at={known.asOf} />; times are those of the market.</>} A protection that is reached keeps positions from being opened, and closes none.
          </p>
        </>
      )}
    </Panel>
  );
}
