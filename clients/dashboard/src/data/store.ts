/** Holds the state of the page, and draws it at most once a frame. */

import { createContext } from "preact";
import { useContext, useEffect, useReducer, useRef } from "preact/hooks";

import { initialState, reduce, type State, type StateAction } from "../model/state";

export class Store {
  state: State;
  private readonly listeners = new Set<() => void>();
  private scheduled = false;

  constructor(now = Date.now()) {
    this.state = initialState(now);
  }

  dispatch(action: StateAction): void {
    const before = this.state;
    this.state = reduce(before, action);
    if (this.state === before || this.scheduled) return;
    this.scheduled = true;
    // A hidden page gets no frames: nothing is drawn, and the state goes on.
    requestAnimationFrame(() => {
      this.scheduled = false;
      for (const listener of [...this.listeners]) listener();
    });
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

export const StoreContext = createContext<Store | undefined>(undefined);

export function useStore(): Store {
  const store = useContext(StoreContext);
  if (!store) throw new Error("there is no store");
  return store;
}

/** Return part of the state, and draw again when it changes. */
export function useSelect<T>(select: (state: State) => T): T {
  const store = useStore();
  const [, draw] = useReducer((count: number) => count + 1, 0);
  const value = select(store.state);
  const current = useRef({ value, select });
  current.current = { value, select };
  useEffect(() => {
    const check = (): void => {
      const { value: drawn, select: selectNow } = current.current;
      if (!Object.is(selectNow(store.state), drawn)) draw(undefined);
    };
    check();
    return store.subscribe(check);
  }, [store]);
  return value;
}
