/** Something in detail, at the side of the page. Escape closes it, and the focus returns to where it was. */

import type { ComponentChildren, JSX } from "preact";

import { useModal } from "./focus";

export function Sheet({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }): JSX.Element {
  const dialog = useModal();
  return (
    <dialog class="sheet" ref={dialog} aria-labelledby="sheet-title" onClose={onClose} onClick={(event) => event.target === dialog.current && onClose()}>
      <header class="panel-head">
        <h2 id="sheet-title">{title}</h2>
        <button type="button" class="button button-small" onClick={onClose}>
          Close
        </button>
      </header>
      <div class="sheet-body">{children}</div>
    </dialog>
  );
}
