/** What one can do on the page. */

import { createContext } from "preact";
import { useContext } from "preact/hooks";

import type { Filter } from "../model/rows";
import { sentenceOf, type Gateway } from "./gateway";
import type { Lists } from "./lists";

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

export function actionsOf(gateway: Gateway, lists: Lists, tryKey: Actions["tryKey"]): Actions {
  return {
    gateway,
    readHealth: lists.readHealth,
    readAccount: lists.readAccount,
    retry: lists.retry,
    tryKey,
    filter: lists.filter,
    loadMore: lists.loadMore,
    listTop: lists.listTop,
    loadOlderBars: lists.chart.loadOlder,
    setHalted: (halted, reason, by) => reported(gateway.setHalted(halted, reason, by).then(lists.readHealth)),
    closePosition: (id) => reported(gateway.closePosition(id)),
  };
}

async function reported(call: Promise<void>): Promise<string> {
  try {
    await call;
    return "";
  } catch (error) {
    return sentenceOf(error);
  }
}

export const ActionsContext = createContext<Actions | undefined>(undefined);

export function useActions(): Actions {
  const actions = useContext(ActionsContext);
  if (!actions) throw new Error("there are no actions");
  return actions;
}
