/** What the page shows while the service does not know who calls: it asks for an API key. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

interface KeyFormProps {
  /** Why the last key, or none, is not accepted. */
  readonly problem: string;
  /** Try a key; resolves to why it is not accepted, "" if it is. */
  readonly onKey: (key: string) => Promise<string>;
}

export function KeyForm({ problem, onKey }: KeyFormProps): JSX.Element {
  const [text, setText] = useState("");
  const [why, setWhy] = useState(problem);
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setWhy(await onKey(text.trim()));
    setBusy(false);
  };
  return (
    <main class="key-form">
      <h1>Trading signals</h1>
      <form onSubmit={(event) => void submit(event)}>
        <label for="api-key">API key</label>
        <input
          id="api-key"
          class="input"
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <button type="submit" class="button button-main" disabled={busy}>
          Open
        </button>
      </form>
      <p role="alert">{why}</p>
      <p class="muted">The key is kept in this tab only. A viewer may look; closing a position needs a trader.</p>
    </main>
  );
}
