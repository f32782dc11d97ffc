/** One timer for everything on the page that shows an age. */

import { useEffect, useState } from "preact/hooks";

import { offsetOf } from "../model/server-clock";
import { useSelect } from "./store";

const listeners = new Set<(now: number) => void>();

export function tick(now: number): void {
  for (const listener of [...listeners]) listener(now);
}

/** Return the milliseconds from the clock of this device to that of the service. */
export function useClockOffset(): number {
  return useSelect((state) => offsetOf(state.clock));
}

/** Return the time by the clock of the service, once a second. */
export function useServerNow(): number {
  return useNow() + useClockOffset();
}

/** Return the time by the clock of this device, once a second. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    listeners.add(setNow);
    return () => void listeners.delete(setNow);
  }, []);
  return now;
}
