import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { useServerNow } from "../data/clock";
import { usePreferences } from "../data/preferences";
import { clockSeconds, offset, ZONE_NAMES, ZONES, type Zone } from "../model/format";
import type { Theme } from "../model/preferences";
import { VIEW_NAMES, type View } from "../model/route";
import { beep, cannotNotify, mayNotify } from "./alerts";
import { ConnectionState } from "./connection";
import { Choice } from "./parts";

const VIEWS: readonly View[] = ["live", "trust", "state"];

export function Header({ view }: { view: View }): JSX.Element {
  return (
    <header class="header">
      <p class="brand">
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M3 17l5-6 4 3.5L20 5" />
          <circle cx="20" cy="5" r="2.2" />
        </svg>
        <span>Trading Signals</span>
      </p>
      <nav class="views" aria-label="Views">
        {VIEWS.map((name) => (
          <a key={name} href={`#/${name}`} aria-current={name === view ? "page" : undefined}>
            {VIEW_NAMES[name]}
          </a>
        ))}
      </nav>
      <div class="header-end">
        <Clock />
        <ConnectionState />
        <Settings />
      </div>
    </header>
  );
}

function Clock(): JSX.Element {
  const { zone } = usePreferences().preferences;
  const now = useServerNow();
  return (
    <p class="clock quiet">
      <span class="num">{clockSeconds(now, zone)}</span> <span class="clock-zone">{ZONE_NAMES[zone]}</span>
    </p>
  );
}

function Settings(): JSX.Element {
  const { preferences, change } = usePreferences();
  const [open, setOpen] = useState(false);
  const [refused, setRefused] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event: Event): void => {
      if (!box.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  const notifications = async (): Promise<void> => {
    const allowed = preferences.notifications ? false : await mayNotify();
    setRefused(!preferences.notifications && !allowed);
    change({ notifications: allowed });
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Escape" || !open) return;
    setOpen(false);
    button.current?.focus();
  };
  return (
    <div class="settings" ref={box} onKeyDown={onKeyDown}>
      <button type="button" class="button button-icon" ref={button} aria-expanded={open} aria-controls="settings" aria-label="Settings" onClick={() => setOpen(!open)}>
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M4 7h10M18 7h2M4 17h2M10 17h10M14 4.5v5M6 14.5v5" />
        </svg>
      </button>
      {open && (
        <div class="menu" id="settings" role="group" aria-label="Settings">
          <h2>Theme</h2>
          <Choice<Theme> label="Theme" value={preferences.theme} onChange={(theme) => change({ theme })} options={[["auto", "System"], ["dark", "Dark"], ["light", "Light"]]} />
          <h2>Times</h2>
          <Choice<Zone> label="Time zone" value={preferences.zone} onChange={(zone) => change({ zone })} options={ZONES.map((zone) => [zone, ZONE_NAMES[zone]] as const)} />
          <p class="note num">{offset(Date.now(), preferences.zone)}</p>
          <h2>New BUY or SELL</h2>
          <label class="check">
            <input type="checkbox" checked={preferences.notifications} onChange={() => void notifications()} />
            Notification
          </label>
          {(refused || cannotNotify()) && (
            <p class="note warn" role="alert">
              This browser does not allow notifications of this page.
            </p>
          )}
          <label class="check">
            <input
              type="checkbox"
              checked={preferences.sound}
              onChange={() => {
                if (!preferences.sound) beep(true);
                change({ sound: !preferences.sound });
              }}
            />
            Sound
          </label>
          <p class="note menu-links">
            <a href="/docs">Documentation</a> · Charts by{" "}
            <a href="https://www.tradingview.com/" rel="noreferrer" target="_blank">
              TradingView
            </a>
          </p>
        </div>
      )}
    </div>
  );
}
