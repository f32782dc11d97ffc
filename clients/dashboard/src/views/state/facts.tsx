/** Parts of the panels of State. */

import type { ComponentChildren, JSX } from "preact";

import { NONE } from "../../model/format";
import { useClockOffset } from "../../data/clock";
import { Time } from "../../ui/parts";

/** "as of 14:03:22", of what is not current; `at` by the clock of this device. */
export function AsOf({ known, at }: { known: boolean; at: number | undefined }): JSX.Element | null {
  if (known || at === undefined) return null;
  return (
    <span class="note" data-as-of>
      as of <ReadAt at={at} />
    </span>
  );
}

/** When something was read; `at` by the clock of this device. */
export function ReadAt({ at }: { at: number | undefined }): JSX.Element {
  const offset = useClockOffset();
  return at === undefined ? <>{NONE}</> : <Time at={at + offset} seconds />;
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="num">{children}</dd>
    </div>
  );
}
