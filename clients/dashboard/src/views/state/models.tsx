/** The model that decides, the shadow that is scored beside it, and newer versions. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Model, Shadow } from "trading-signals-client";

import { useAnalysis } from "../../data/analysis";
import { useRefusal } from "../../data/caller";
import { ms } from "../../data/convert";
import { sentenceOf } from "../../data/gateway";
import { useQuery } from "../../data/query";
import { usePreferences } from "../../data/preferences";
import { enough, fullDay, integer, NONE, number, percent, signed } from "../../model/format";
import { Loaded } from "../../ui/loaded";
import { Button, Panel } from "../../ui/parts";
import { Fact } from "./facts";

export function Models(): JSX.Element {
  const analysis = useAnalysis();
  const query = useQuery(() => analysis.model());
  const refused = useRefusal("reloadModel");
  const [reload, setReload] = useState({ busy: false, text: "" });
  const look = async (): Promise<void> => {
    setReload({ busy: true, text: "" });
    try {
      const changed = await analysis.reloadModel();
      setReload({ busy: false, text: changed ? "A newer version is in use." : "There is no newer version." });
      query.again();
    } catch (error) {
      setReload({ busy: false, text: sentenceOf(error) });
    }
  };
  const aside = (
    <span class="aside-row">
      <span class="note" role="status">
        {refused || reload.text}
      </span>
      <Button class="button-small" busy={reload.busy} disabled={refused !== ""} onClick={() => void look()}>
        Look for a newer version
      </Button>
    </span>
  );
  return (
    <Panel title="Models" id="models" aside={aside}>
      <Loaded query={query} label="the models">
        {({ model, shadow }) => (
          <div class="models">
            {model && <Live model={model} />}
            {shadow?.model ? <Watched shadow={shadow} /> : <p class="note body">No shadow model: SHADOW_MODEL_PATH names one to score beside it.</p>}
          </div>
        )}
      </Loaded>
    </Panel>
  );
}

function Live({ model }: { model: Model }): JSX.Element {
  return (
    <div class="body" data-model={model.version}>
      <h3>
        {model.loaded ? model.name || model.type : <span class="warn">Placeholder</span>} <span class="num">{model.version}</span> <span class="tag tag-buy">decides</span>
      </h3>
      {!model.loaded && <p class="note warn">No model file is loaded. Decisions are made up and marked simulated.</p>}
      <Facts model={model} />
      {model.availableVersions.length > 1 && (
        <p class="note">
          Versions in its folder: <span class="num">{model.availableVersions.join(", ")}</span>
        </p>
      )}
    </div>
  );
}

function Watched({ shadow }: { shadow: Shadow }): JSX.Element {
  const model = shadow.model!;
  return (
    <div class="body" data-shadow={model.version}>
      <h3>
        {model.name || model.type} <span class="num">{model.version}</span> <span class="tag">shadow, never traded</span>
      </h3>
      <dl class="facts">
        <Fact name="Decisions">{integer(shadow.decisions)}</Fact>
        <Fact name="Same action as live">{shadow.decisions ? percent(shadow.agreementPct) : NONE}</Fact>
        <Fact name="Would have won">{shadow.positionsClosed ? `${percent(shadow.winRate)} of ${integer(shadow.positionsClosed)}` : NONE}</Fact>
        <Fact name="Profit or loss in price">{shadow.positionsClosed ? signed(shadow.totalPnl, enough(shadow.totalPnl, 2)) : NONE}</Fact>
      </dl>
      <Facts model={model} />
    </div>
  );
}

function Facts({ model }: { model: Model }): JSX.Element {
  const { zone } = usePreferences().preferences;
  const [start, end] = [ms(model.trainingStart), ms(model.trainingEnd)];
  return (
    <dl class="facts">
      <Fact name="Inference, p50 and p99">{model.inferenceCount ? `${number(model.p50LatencyMs)} · ${number(model.p99LatencyMs)} ms` : NONE}</Fact>
      <Fact name="Inferences, not finite">
        {integer(model.inferenceCount)} · <span class={model.failureCount ? "loss" : ""}>{integer(model.failureCount)}</span>
      </Fact>
      <Fact name="Trained on">{start !== undefined && end !== undefined ? `${fullDay(start, zone)} – ${fullDay(end, zone)}` : NONE}</Fact>
      <Fact name="Features">{model.featureSpecification || NONE}</Fact>
      <Fact name="Recurrent state">{model.recurrentLayers ? `reset each ${model.recurrentReset}` : "none"}</Fact>
      <Fact name="File, SHA-256">{model.fileSha256 ? <code title={model.fileSha256}>{model.fileSha256.slice(0, 12)}</code> : NONE}</Fact>
    </dl>
  );
}
