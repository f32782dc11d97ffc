/** What the caller of this page may do. */

import { refusal, type Act } from "../model/caller";
import { useSelect } from "./store";

/** Return why the caller may not do something, "" if it may. */
export function useRefusal(act: Act): string {
  return useSelect((state) => refusal(state.caller, act));
}
