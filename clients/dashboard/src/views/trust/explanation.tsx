/** Why one signal was given: rules in their order, contributions as bars, and what the model saw. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { RuleResult_Verdict, type Attribution, type ExplainedFeature, type Explanation as Message, type Replay, type RuleResult } from "trading-signals-client";

import { useAnalysis } from "../../data/analysis";
import { actionOf, name, signalOf } from "../../data/convert";
import { sentenceOf } from "../../data/gateway";
import { usePreferences } from "../../data/preferences";
import { useQuery } from "../../data/query";
import { age, counted, dayClock, enough, integer, number, pair, price, sentence, share, signed } from "../../model/format";
import { limitPercent, protectionTitle } from "../../model/protections";
import { Loaded } from "../../ui/loaded";
import { Button, classes, Empty, gain, Panel, Side, useStyle } from "../../ui/parts";

export function Explanation({ signalId }: { signalId: string }): JSX.Element {
  const analysis = useAnalysis();
  const query = useQuery(() => analysis.explain(signalId), [], signalId);
  const top = useRef<HTMLDivElement>(null);
  useEffect(() => top.current?.scrollIntoView({ block: "nearest" }), [signalId]);
  return (
    <div class="explanation" ref={top}>
      <Panel title="Why this signal" id="explanation" aside={<a class="button button-small" href="#/trust">Close</a>}>
        {query.result.state === "failed" && query.result.unknown ? (
          <Empty>
            <strong class="wrap">There is no signal {signalId}.</strong> The address is wrong, or it is of another database. <a href="#/trust">Back to Trust</a> · <a href="#/live">Signals of now</a>
          </Empty>
        ) : (
          <Loaded query={query} label="the explanation" rows={6}>
            {(explanation) => <Content explanation={explanation} />}
          </Loaded>
        )}
      </Panel>
    </div>
  );
}

function Content({ explanation }: { explanation: Message }): JSX.Element {
  const { zone } = usePreferences().preferences;
  const signal = explanation.signal && signalOf(explanation.signal);
  if (!signal) return <p class="empty">It is not stored.</p>;
  return (
    <div class="body">
      <p class="lead" data-signal={signal.id}>
        <Side action={signal.action} /> <strong>{pair(signal.symbol)}</strong> <span class="num">{price(signal.price)}</span>{" "}
        <span class="num quiet">{dayClock(signal.time, zone)}</span> <span class="num quiet">confidence {share(signal.confidence)}</span>
      </p>
      {explanation.missing.length > 0 && (
        <ul class="warnings">
          {explanation.missing.map((text) => (
            <li key={text}>{text}</li>
          ))}
        </ul>
      )}
      <div class="why-columns">
        <section aria-labelledby="rules-title">
          <h3 id="rules-title">Rules, in the order in which they decided</h3>
          {explanation.rules.length ? <Rules rules={explanation.rules} /> : <p class="note">Not known any more.</p>}
        </section>
        <section aria-labelledby="contributions-title">
          <h3 id="contributions-title">What spoke for the model's choice, and what against it</h3>
          {explanation.attribution ? <Contributions attribution={explanation.attribution} /> : <p class="note">Not known: the model file is gone, or gave no probabilities.</p>}
        </section>
      </div>
      {explanation.features.length > 0 && <Features features={explanation.features} />}
      <ReplayButton signalId={signal.id} />
    </div>
  );
}

function Rules({ rules }: { rules: readonly RuleResult[] }): JSX.Element {
  const marks: Record<string, string> = { PASSED: "✓", STOPPED: "✕", NOT_REACHED: "·" };
  return (
    <ol class="rules">
      {rules.map((rule) => {
        const verdict = name(RuleResult_Verdict, rule.verdict);
        return (
          <li key={rule.rule} class={`rule rule-${verdict.toLowerCase()}`} data-rule={rule.rule}>
            <span class="rule-mark" aria-hidden="true">{marks[verdict]}</span>
            <span>
              {NAMES[rule.rule] ?? protectionTitle(rule.rule)} <span class="visually-hidden">{sentence(verdict)}</span>
              {rule.sentence && <small class="rule-sentence">{rule.sentence}</small>}
            </span>
            <span class="num note">
              {looked(rule)}
            </span>
          </li>
        );
      })}
    </ol>
  );
}

/** Names of rules that read badly without their underscores; others are as they are. */
const NAMES: Readonly<Record<string, string>> = {
  MODEL_CHOICE: "The model's choice",
  CONFIDENCE_THRESHOLD: "Confidence above the threshold",
  MIN_RISK_REWARD: "Enough reward for the risk",
  MIN_WIN_PROBABILITY: "Enough chance to win",
  ATR: "ATR is known",
  LEVELS_ARE_PRICES: "Stop and target are prices",
  LEVELS_ARE_APART: "Stop and target are apart",
  HELD_POSITION: "No position on this side",
  SESSION_AND_AGE: "Session is open, bars are new",
  ENTRY_TIME: "After the last entry",
  POSITION_SIZE: "Size above 0",
  PROTECTION: "No halt, no limit reached",
  TRADING_HALTED: "Not halted by setting",
  HALTED_BY_HAND: "Not halted by hand",
};
/** How the numbers of a rule are written; others are without a unit. */
const UNITS: Readonly<Record<string, (value: number) => string>> = {
  MODEL_CHOICE: share,
  CONFIDENCE_THRESHOLD: share,
  MIN_WIN_PROBABILITY: share,
  ATR: price,
  LEVELS_ARE_PRICES: price,
  LEVELS_ARE_APART: price,
  HELD_POSITION: (side) => (side > 0 ? "long" : side < 0 ? "short" : "none"),
  SESSION_AND_AGE: (seconds) => (seconds < 1 ? "0 s" : age(1000 * seconds)),
  POSITION_SIZE: share,
  TRADING_HALTED: (on) => (on ? "yes" : "no"),
  HALTED_BY_HAND: (on) => (on ? "yes" : "no"),
  MAX_DAILY_LOSS_PCT: limitPercent,
  MAX_DRAWDOWN_PCT: limitPercent,
  COOLDOWN_AFTER_STOPS: integer,
  MAX_OPEN_POSITIONS: integer,
  MAX_EXPOSURE_PCT: limitPercent,
};

/** What a rule looked at, and its limit if it has one. */
function looked({ rule, value, limit }: RuleResult): string {
  if (value === undefined) return "";
  const format = UNITS[rule] ?? ((each) => number(each));
  return limit === undefined || limit === 0 ? format(value) : `${format(value)}, limit ${format(limit)}`;
}

function Contributions({ attribution }: { attribution: Attribution }): JSX.Element {
  const sorted = [...attribution.contributions].sort((a, b) => Math.abs(b.logOdds) - Math.abs(a.logOdds));
  const most = Math.max(...sorted.map(({ logOdds }) => Math.abs(logOdds)), 1e-9);
  const action = actionOf(attribution.action);
  return (
    <>
      <ul class="contributions">
        {sorted.map(({ group, logOdds, features }) => (
          <li key={group} title={features.join(", ")} data-group={group}>
            <span>{group}</span>
            <Bar value={logOdds / most} />
            <span class={classes("num", gain(Number(logOdds.toFixed(2))))}>{signed(logOdds)}</span>
          </li>
        ))}
      </ul>
      <p class="note">
        In log-odds of {action}: <span class="num">{signed(attribution.baselineLogOdds)}</span> at the {attribution.baseline}, with all of these <span class="num">{signed(attribution.logOdds)}</span>, which is a
        probability of <span class="num">{share(1 / (1 + Math.exp(-attribution.logOdds)))}</span>. They say what the model did with the numbers, not what moves the market.
      </p>
    </>
  );
}

/** A bar from the middle: right for, left against. */
function Bar({ value }: { value: number }): JSX.Element {
  const ref = useStyle({ "--size": String(Math.abs(value) / 2), "--from": String(value < 0 ? 0.5 - Math.abs(value) / 2 : 0.5) });
  return (
    <span class="diverging" aria-hidden="true">
      <span ref={ref} class={value < 0 ? "against" : "for"} />
    </span>
  );
}

function Features({ features }: { features: readonly ExplainedFeature[] }): JSX.Element {
  const newest = features.filter((feature) => feature.barsAgo === 0);
  return (
    <details class="more-details">
      <summary>What the model saw: {counted(newest.length, "feature")} of the newest bar</summary>
      <div class="scroll-x" role="region" aria-label="Table of features" tabIndex={0}>
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Feature</th>
              <th scope="col">Group</th>
              <th scope="col" class="right">Value</th>
              <th scope="col">Unit</th>
              <th scope="col" class="right">As the model got it</th>
            </tr>
          </thead>
          <tbody>
            {newest.map((feature) => (
              <tr key={feature.name}>
                <th scope="row">{feature.expression || feature.name}</th>
                <td>{feature.group}</td>
                <td class="right num">{number(feature.value, enough(feature.value ?? 0, 4))}</td>
                <td class="note">{feature.unit}</td>
                <td class="right num">{number(feature.observed, enough(feature.observed ?? 0, 4))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** Make the signal again from what is stored, and compare. */
function ReplayButton({ signalId }: { signalId: string }): JSX.Element {
  const analysis = useAnalysis();
  const [state, setState] = useState<{ busy: boolean; replay?: Replay; error?: string }>({ busy: false });
  useEffect(() => setState({ busy: false }), [signalId]);
  const run = async (): Promise<void> => {
    setState({ busy: true });
    try {
      setState({ busy: false, replay: await analysis.replay(signalId) });
    } catch (error) {
      setState({ busy: false, error: sentenceOf(error) });
    }
  };
  const { replay } = state;
  return (
    <div class="replay">
      <Button busy={state.busy} onClick={() => void run()}>
        {state.busy ? "Making it again …" : "Make it again and compare"}
      </Button>
      <div role="status">
        {state.error && <p class="loss">{state.error}</p>}
        {replay?.equal && <p class="gain">The same to the bit: bars, settings, state and signal are as they were.</p>}
        {replay && !replay.equal && (
          <ul class="warnings">
            {replay.causes.map((cause) => (
              <li key={cause.description}>{cause.description}</li>
            ))}
            {replay.differences.map((difference) => (
              <li key={difference.field}>
                {difference.field}: <span class="num">{difference.stored}</span> is stored, <span class="num">{difference.recomputed || "nothing"}</span> comes out
              </li>
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}
