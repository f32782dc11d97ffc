/** Halts trading, or resumes it, after a confirmation that says what it does. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useActions } from "../../data/actions";
import { useRefusal } from "../../data/caller";
import { Confirm } from "../../ui/parts";

const LONGEST_REASON = 200;
const LONGEST_NAME = 100;

export function KillSwitch({ halted }: { halted: boolean }): JSX.Element {
  const [asking, setAsking] = useState(false);
  const refused = useRefusal(halted ? "resume" : "halt");
  return (
    <p>
      <button type="button" class={halted || refused ? "button" : "button button-danger"} disabled={refused !== ""} aria-describedby={refused ? "halt-refused" : undefined} onClick={() => setAsking(true)}>
        {halted ? "Resume trading" : "Halt trading"}
      </button>
      {refused && <span class="note refused" id="halt-refused" data-refused>{refused}</span>}
      {asking && <Dialog halted={halted} onDone={() => setAsking(false)} />}
    </p>
  );
}

function Dialog({ halted, onDone }: { halted: boolean; onDone: () => void }): JSX.Element {
  const actions = useActions();
  // What is asked stays what is done, even if another page halts or resumes meanwhile.
  const [halts] = useState(!halted);
  const [reason, setReason] = useState("");
  const [by, setBy] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const confirm = async (): Promise<void> => {
    setBusy(true);
    const failed = await actions.setHalted(halts, reason.trim(), by.trim());
    setBusy(false);
    setError(failed);
    if (!failed) onDone();
  };
  return (
    <Confirm title={halts ? "Halt trading?" : "Resume trading?"} action={halts ? "Halt trading" : "Resume trading"} danger={halts} busy={busy} error={error} onConfirm={() => void confirm()} onCancel={onDone}>
      <p>
        {halts
          ? "No position is opened any more, of any symbol, on any server, until trading is resumed. Open positions stay, and are closed by their rules."
          : "Signals open positions again, of all symbols, on all servers. The limits of drawdown and of stops in a row begin anew."}
      </p>
      <label class="field">
        Reason
        <input class="input" value={reason} maxLength={LONGEST_REASON} onInput={(event) => setReason(event.currentTarget.value)} />
      </label>
      <label class="field">
        Your name
        <input class="input" value={by} maxLength={LONGEST_NAME} autocomplete="name" onInput={(event) => setBy(event.currentTarget.value)} />
      </label>
    </Confirm>
  );
}
