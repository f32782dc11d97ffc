/** Parts of the panels of State. */

import type { ComponentChildren, JSX } from "preact";

import { Time } from "../../ui/parts";

/** "as of 14:03:22", of what is not current. */
export function AsOf({ known, at }: { known: boolean; at: number | undefined }): JSX.Element | null {
  if (known || at === undefined) return null;
  return (
    <span class="note" data-as-of>
      as of <Time at={at} seconds />
    </span>
  );
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="num">{children}</dd>
    </div>
  );
}
