/** What one can do on the page. */

import { createContext } from "preact";
import { useContext } from "preact/hooks";

import type { Filter } from "../model/rows";
import type { Gateway } from "./gateway";

export interface Actions {
  readonly gateway: Gateway;
  readonly readHealth: () => void;
  readonly readAccount: () => void;
  /** Read everything again that failed. */
  readonly retry: () => void;
  /** Try an API key; why it is not accepted, or "". */
  readonly tryKey: (text: string) => Promise<string>;
  readonly filter: (filter: Filter) => void;
  readonly loadMore: () => void;
  readonly listTop: (atTop: boolean) => void;
  readonly loadOlderBars: () => void;
  /** Halt or resume trading; the error in a sentence, or "". */
  readonly setHalted: (halted: boolean, reason: string, by: string) => Promise<string>;
  /** Close a position; the error in a sentence, or "". */
  readonly closePosition: (id: string) => Promise<string>;
}

export const ActionsContext = createContext<Actions | undefined>(undefined);

export function useActions(): Actions {
  const actions = useContext(ActionsContext);
  if (!actions) throw new Error("there are no actions");
  return actions;
}
