/** What the page shows while the service does not accept its key: why, and a form for another one. */

import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { useActions } from "../data/actions";
import { useSelect } from "../data/store";

export function KeyForm(): JSX.Element {
  const { tryKey } = useActions();
  const problem = useSelect((state) => state.connection.error);
  const began = useSelect((state) => state.connection.lastResponse !== undefined);
  const [why, setWhy] = useState(problem && `${problem}.`);
  const [busy, setBusy] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => input.current?.focus(), []);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy || !input.current) return;
    setBusy(true);
    const refused = await tryKey(input.current.value.trim());
    setWhy(refused);
    setBusy(false);
    if (refused) input.current?.focus();
  };
  return (
    <main class="key-form">
      <h1>Trading signals</h1>
      {began && <p>The service no longer accepts the key of this page. With another key it goes on where it stopped, and nothing is missing.</p>}
      <form onSubmit={(event) => void submit(event)}>
        <label for="api-key">API key</label>
        <input
          id="api-key"
          ref={input}
          class="input"
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          aria-describedby="key-problem"
          aria-invalid={why !== ""}
        />
        <button type="submit" class="button button-main" disabled={busy}>
          Open
        </button>
      </form>
      <p role="alert" id="key-problem" class="key-problem">
        {why}
      </p>
      <p class="note">The key is kept in this tab only. A viewer may look; closing a position and halting trading need a trader.</p>
    </main>
  );
}
