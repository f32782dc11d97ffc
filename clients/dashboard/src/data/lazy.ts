/** Parts of the page whose script is loaded after the first view. */

import { useEffect, useState } from "preact/hooks";

import { useSelect } from "./store";

const AGAIN = 1_000;

/**
 * Return what `load` gives, once it is there; `failed` while it could not be loaded. It is tried again when the page is
 * connected, and if that fails too the page is loaded anew: browsers keep a script that failed as failed, and a newer
 * version of the page has others.
 */
export function useLazy<T>(load: () => Promise<T>): { loaded: T | undefined; failed: boolean } {
  const [part, setPart] = useState<{ readonly loaded?: T; readonly failures: number }>({ failures: 0 });
  const connected = useSelect((state) => state.connection.phase === "live");
  useEffect(() => {
    let gone = false;
    setPart({ failures: 0 });
    attempt(load).then((loaded) => !gone && setPart(loaded));
    return () => {
      gone = true;
    };
  }, [load]);
  const { loaded, failures } = part;
  useEffect(() => {
    if (!failures || !connected) return undefined;
    const again = async (): Promise<void> => {
      const next = await attempt(load);
      if (next.loaded === undefined) location.reload();
      else setPart(next);
    };
    const timer = window.setTimeout(() => void again(), AGAIN);
    return () => window.clearTimeout(timer);
  }, [failures, connected, load]);
  return { loaded, failed: failures > 0 };
}

async function attempt<T>(load: () => Promise<T>): Promise<{ readonly loaded?: T; readonly failures: number }> {
  try {
    return { loaded: await load(), failures: 0 };
  } catch {
    return { failures: 1 };
  }
}
