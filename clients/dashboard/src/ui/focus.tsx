/** Where the focus goes: one who works by keyboard never has to begin at the top of the page again. */

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

/** Show a dialog, modal, as long as it is drawn. Afterwards the focus is where it was before. */
export function useModal(): { current: HTMLDialogElement | null } {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => {
      // What it reports of that comes later, when there may be another one.
      shown?.addEventListener("close", (event) => event.stopImmediatePropagation(), { capture: true });
      shown?.close();
    };
  }, []);
  return dialog;
}

/**
 * Move the focus on when what has it disappears, which leaves it at the top of the page: to the dialog that is open, else
 * to the heading of the panel that it was in, else to that of the view.
 */
export function useFocusKept(): void {
  useEffect(() => {
    let [last, panel]: (Element | null)[] = [null, null];
    const note = (event: FocusEvent): void => {
      last = event.target as Element;
      panel = last.closest(".panel");
    };
    const moveOn = (): void => {
      if (!last || last.isConnected || document.activeElement !== document.body) return;
      const next = document.querySelector<HTMLElement>("dialog[open] button") ?? (panel?.isConnected ? panel.querySelector("h2") : null) ?? document.querySelector("h1") ?? document.querySelector("main");
      if (!next) return;
      if (next.tabIndex < 0) next.tabIndex = -1;
      next.focus({ preventScroll: true });
    };
    const removals = new MutationObserver(moveOn);
    document.addEventListener("focusin", note);
    removals.observe(document.body, { childList: true, subtree: true });
    return () => {
      document.removeEventListener("focusin", note);
      removals.disconnect();
    };
  }, []);
}
