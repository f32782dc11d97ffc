import type { JSX } from "preact";

import type { Query } from "../data/query";
import { Failed, Skeleton } from "./parts";

/** What a query has read, or that it is being read, or why it could not be. An old value stays beside an error. */
export function Loaded<T>({ query, label, rows = 4, children }: { query: Query<T>; label: string; rows?: number; children: (value: T) => JSX.Element }): JSX.Element {
  const { result, again } = query;
  return (
    <>
      {result.state === "failed" && <Failed error={result.error} retry={again} />}
      {result.value !== undefined ? children(result.value) : result.state === "loading" ? <Skeleton rows={rows} label={`Loading ${label}`} /> : null}
    </>
  );
}
