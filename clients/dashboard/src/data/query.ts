/** Something that a panel reads for itself: when it is looked at first, when what it depends on changes, and on demand. */

import { useEffect, useRef, useState } from "preact/hooks";

import type { Loadable } from "../model/types";
import { failedWith } from "./gateway";
import { useSelect } from "./store";

/** Least milliseconds between two reads of what changes by itself. */
const PAUSE = 10_000;

/** Return a value that follows another one, but changes once in `pause` milliseconds at most. */
export function useCalmed<T>(value: T, pause = PAUSE): T {
  const [calm, setCalm] = useState(value);
  const changed = useRef(Date.now());
  useEffect(() => {
    const timer = window.setTimeout(
      () => {
        changed.current = Date.now();
        setCalm(value);
      },
      Math.max(0, changed.current + pause - Date.now()),
    );
    return () => window.clearTimeout(timer);
  }, [value, pause]);
  return calm;
}

export interface Query<T> {
  readonly result: Loadable<T>;
  readonly again: () => void;
}

/** Milliseconds until something that failed is read again while the page is connected: at first, and after further failures. */
const AGAIN_FIRST = 500;
const AGAIN = 5_000;

/**
 * Read with `read`, again whenever `depends` changes. What was read before stays while it is read again, unless `subject`
 * has changed: then it is of something else. What fails for a while is read again once the page is connected.
 */
export function useQuery<T>(read: () => Promise<T>, depends: readonly unknown[] = [], subject = ""): Query<T> {
  const [result, setResult] = useState<Loadable<T>>({ state: "loading" });
  const [turn, setTurn] = useState(0);
  const connected = useSelect((state) => state.connection.phase === "live");
  const shown = useRef(subject);
  const failures = useRef(0);
  useEffect(() => {
    let gone = false;
    const same = shown.current === subject;
    shown.current = subject;
    setResult((before) => (same ? { state: "loading", value: before.value, at: before.at } : { state: "loading" }));
    read().then(
      (value) => {
        if (gone) return;
        failures.current = 0;
        setResult({ state: "ready", value, at: Date.now() });
      },
      (error: unknown) => !gone && setResult((before) => failedWith(error, before)),
    );
    return () => {
      gone = true;
    };
  }, [...depends, subject, turn]);
  const again = (): void => setTurn((before) => before + 1);
  const waits = result.state === "failed" && result.temporary;
  useEffect(() => {
    if (!connected) failures.current = 0;
    if (!waits || !connected) return undefined;
    const pause = failures.current ? AGAIN : AGAIN_FIRST;
    failures.current += 1;
    const timer = window.setTimeout(again, pause * (0.5 + Math.random()));
    return () => window.clearTimeout(timer);
  }, [waits, connected]);
  return { result, again };
}
