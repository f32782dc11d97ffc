/** Resolved signals, the last first. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useAnalysis } from "../../data/analysis";
import { sentenceOf } from "../../data/gateway";
import { usePreferences } from "../../data/preferences";
import { useCalmed, useQuery } from "../../data/query";
import { useSelect } from "../../data/store";
import { dayClock, pair, price, sentence, signed, signedPercent } from "../../model/format";
import type { Outcome } from "../../model/outcomes";
import { explainHash } from "../../model/route";
import { Loaded } from "../../ui/loaded";
import { Choice, classes, Empty, gain, Panel, Side } from "../../ui/parts";

const PAGE = 50;

type Whose = "live" | "shadow";

export function OutcomeList(): JSX.Element {
  const analysis = useAnalysis();
  const outcomes = useCalmed(useSelect((state) => state.outcomes));
  const [whose, setWhose] = useState<Whose>("live");
  const [older, setOlder] = useState<{ of: unknown; rows: readonly Outcome[]; token: string; error: string } | undefined>(undefined);
  const query = useQuery(() => analysis.outcomes(whose === "shadow", PAGE), [outcomes], whose);
  const extra = older?.of === query.result.value ? older : undefined;
  const token = extra?.token ?? query.result.value?.nextToken ?? "";
  const more = async (): Promise<void> => {
    const of = query.result.value;
    const rows = extra?.rows ?? [];
    try {
      const page = await analysis.outcomes(whose === "shadow", PAGE, token);
      setOlder({ of, rows: [...rows, ...page.outcomes], token: page.nextToken, error: "" });
    } catch (error) {
      setOlder({ of, rows, token, error: sentenceOf(error) });
    }
  };
  return (
    <Panel title="Outcomes" id="outcomes" aside={<Choice<Whose> label="Whose" value={whose} onChange={setWhose} options={[["live", "Live"], ["shadow", "Shadow"]]} />}>
      <Loaded query={query} label="outcomes" rows={8}>
        {(page) =>
          page.outcomes.length ? (
            <div class="scroll-x outcomes" role="region" aria-label="Table of outcomes" tabIndex={0}>
              <Table outcomes={[...page.outcomes, ...(extra?.rows ?? [])]} />
              {token && (
                <p class="more">
                  <button type="button" class="button button-small" onClick={() => void more()}>
                    Older
                  </button>{" "}
                  <span class="loss">{extra?.error}</span>
                </p>
              )}
            </div>
          ) : (
            <Empty>{whose === "live" ? "Nothing has been resolved yet." : "No shadow model has resolved signals."}</Empty>
          )
        }
      </Loaded>
    </Panel>
  );
}

function Table({ outcomes }: { outcomes: readonly Outcome[] }): JSX.Element {
  const { zone } = usePreferences().preferences;
  return (
    <table class="table">
      <thead>
        <tr>
          <th scope="col">Ended</th>
          <th scope="col">Symbol</th>
          <th scope="col">Signal</th>
          <th scope="col">End</th>
          <th scope="col" class="right">Entry</th>
          <th scope="col" class="right">Exit</th>
          <th scope="col" class="right">Result</th>
          <th scope="col" class="right">Bars</th>
          <th scope="col"><span class="visually-hidden">Explain</span></th>
        </tr>
      </thead>
      <tbody>
        {outcomes.map((outcome) => (
          <tr key={outcome.id} data-outcome={outcome.id}>
            <th scope="row" class="num">{dayClock(outcome.exitTime, zone)}</th>
            <td>{pair(outcome.symbol)}</td>
            <td>
              <Side action={outcome.action} /> {!outcome.acted && <small>not traded</small>}
            </td>
            <td>{sentence(outcome.resolution)}</td>
            <td class="right num">{price(outcome.entry)}</td>
            <td class="right num">{price(outcome.exit, outcome.entry)}</td>
            <td class={classes("right num", gain(outcome.r))}>
              {signed(outcome.r)} R <small>{signedPercent(outcome.netPct)}</small>
            </td>
            <td class="right num">{outcome.barsHeld}</td>
            <td class="right">
              <a href={explainHash(outcome.signalId)} aria-label={`Why the ${outcome.action} of ${pair(outcome.symbol)}`}>
                Why
              </a>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
