/** How current the page is: at the end of the header, and as a strip across the page when it is not. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

import { useClockOffset, useNow } from "../data/clock";
import { useSelect } from "../data/store";
import { usePreferences } from "../data/preferences";
import { stripText, type Phase } from "../model/connection";
import { age, clockSeconds } from "../model/format";
import { classes } from "./parts";

const NAMES: Readonly<Record<Phase, string>> = {
  connecting: "Connecting",
  live: "Live",
  stale: "No data",
  reconnecting: "Reconnecting",
  offline: "Offline",
  denied: "No access",
};

export function ConnectionState(): JSX.Element {
  const connection = useSelect((state) => state.connection);
  const applied = useSelect((state) => state.applied);
  const now = useNow();
  const last = connection.lastResponse;
  const since = connection.phase === "live" ? last : connection.since;
  return (
    <div class={`connection connection-${connection.phase}`} id="connection" data-phase={connection.phase} data-applied={applied}>
      <span class="dot" aria-hidden="true" />
      <span>{NAMES[connection.phase]}</span>
      {since !== undefined && (
        <span class="num quiet" title="Since the last response of the stream">
          {age(now - since)}
        </span>
      )}
      <DeadMansSwitch class="stopped-label" text="Not responding" />
    </div>
  );
}

/** Covers its place unless script restarts it each second, so that a page that hangs shows it. */
export function DeadMansSwitch({ text, class: name }: { text: string; class: string }): JSX.Element {
  const now = useNow();
  const [odd, setOdd] = useState(false);
  useEffect(() => setOdd((before) => !before), [now]);
  return (
    <span class={classes("stopped", name, odd ? "stopped-odd" : "stopped-even")} aria-hidden="true">
      {text}
    </span>
  );
}

/** What is wrong with the stream, or what its last break came to. */
export function ConnectionStrip(): JSX.Element {
  const connection = useSelect((state) => state.connection);
  const { zone } = usePreferences().preferences;
  const offset = useClockOffset();
  const strip = stripText(connection, (ms) => clockSeconds(ms + offset, zone));
  return (
    <div class="strips" role="status" aria-live="polite">
      {strip && <p class={`strip strip-${strip.tone}`}>{strip.text}</p>}
    </div>
  );
}
