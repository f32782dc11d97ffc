/** The cell of a table that shows an estimate. */

import type { JSX } from "preact";

import { integer } from "../../model/format";
import type { Estimate } from "../../model/outcomes";

export type Format = (value: number | undefined) => string;

/** A figure, its interval below it, and its number of cases. */
export function EstimateCell({ estimate, format }: { estimate: Estimate; format: Format }): JSX.Element {
  const { value, n, low, high } = estimate;
  return (
    <td class="right num">
      <strong>{format(value)}</strong>
      <br />
      <small>
        {low !== undefined && high !== undefined ? `${format(low)} to ${format(high)} · ` : ""}n {integer(n)}
      </small>
    </td>
  );
}
