/** Says new BUYs and SELLs: to screen readers always, by notification and sound if one wants it. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { useStore } from "../data/store";
import { usePreferences } from "../data/preferences";
import { pair, price, share } from "../model/format";
import { ordered } from "../model/symbols";
import type { Signal } from "../model/types";
import { allowSound, beep, notify } from "./alerts";

const PAUSE = 3_000;

export function Announcer(): JSX.Element {
  const store = useStore();
  const { preferences, change } = usePreferences();
  const [text, setText] = useState("");
  const wanted = useRef(preferences);
  wanted.current = preferences;
  useEffect(() => {
    const known = new Map<string, string>();
    let last = 0;
    let timer = 0;
    const pending: Signal[] = [];
    const say = (): void => {
      timer = 0;
      last = Date.now();
      const signals = pending.splice(0);
      setText(signals.map(sentenceOf).join(". "));
      const newest = signals.at(-1);
      if (newest && wanted.current.sound) beep(newest.action === "BUY");
      if (newest && wanted.current.notifications && !notify(sentenceOf(newest), newest)) change({ notifications: false });
    };
    const check = (): void => {
      // Of another log nothing is known yet: what is read of it first is no news.
      for (const symbol of known.keys()) if (!store.state.symbols.has(symbol)) known.delete(symbol);
      for (const { symbol, signal } of ordered(store.state.symbols)) {
        if (!signal) continue;
        const before = known.get(symbol);
        known.set(symbol, signal.action);
        if (before !== undefined && before !== signal.action && signal.action !== "HOLD") pending.push(signal);
      }
      if (pending.length && !timer) timer = window.setTimeout(say, Math.max(0, last + PAUSE - Date.now()));
    };
    // A hidden page draws nothing, so the state is looked at by time besides.
    const hidden = window.setInterval(() => document.hidden && check(), 1000);
    const unsubscribe = store.subscribe(check);
    return () => {
      unsubscribe();
      window.clearInterval(hidden);
      window.clearTimeout(timer);
    };
  }, [store]);
  useEffect(() => (preferences.sound ? allowSound() : undefined), [preferences.sound]);
  return (
    <div class="visually-hidden" role="log" aria-live="polite" aria-label="New signals" id="announcer">
      {text}
    </div>
  );
}

function sentenceOf(signal: Signal): string {
  return `${signal.action} ${pair(signal.symbol)} at ${price(signal.price)}, confidence ${share(signal.confidence, 0)}${signal.simulated ? ", simulated" : ""}`;
}
