/** One timer for everything on the page that shows an age. */

import { useEffect, useState } from "preact/hooks";

const listeners = new Set<(now: number) => void>();

export function tick(now: number): void {
  for (const listener of [...listeners]) listener(now);
}

/** Return the time, once a second. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    listeners.add(setNow);
    return () => void listeners.delete(setNow);
  }, []);
  return now;
}
