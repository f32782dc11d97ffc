/** Something that a panel reads for itself: when it is looked at first, when what it depends on changes, and on demand. */

import { useEffect, useRef, useState } from "preact/hooks";

import type { Loadable } from "../model/types";
import { sentenceOf } from "./gateway";

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

/**
 * Read with `read`, again whenever `depends` changes. What was read before stays while it is read again, unless `subject`
 * has changed: then it is of something else.
 */
export function useQuery<T>(read: () => Promise<T>, depends: readonly unknown[] = [], subject = ""): Query<T> {
  const [result, setResult] = useState<Loadable<T>>({ state: "loading" });
  const [turn, setTurn] = useState(0);
  const shown = useRef(subject);
  useEffect(() => {
    let gone = false;
    const same = shown.current === subject;
    shown.current = subject;
    setResult((before) => ({ state: "loading", value: same ? before.value : undefined }));
    read().then(
      (value) => !gone && setResult({ state: "ready", value, at: Date.now() }),
      (error: unknown) => !gone && setResult((before) => ({ state: "failed", error: sentenceOf(error), value: before.value })),
    );
    return () => {
      gone = true;
    };
  }, [...depends, subject, turn]);
  return { result, again: () => setTurn((before) => before + 1) };
}
