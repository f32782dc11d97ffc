import type { JSX } from "preact";

import { useActions } from "../../data/actions";
import { ChartPanel } from "./chart-panel";
import { Headline } from "./headline";
import { Positions } from "./positions";
import { Signals } from "./signals";
import { SymbolList } from "./symbols";

/** What happens now. */
export function Live(): JSX.Element {
  const actions = useActions();
  return (
    <>
      <SymbolList />
      <Headline retry={actions.retry} />
      <ChartPanel />
      <Positions />
      <Signals />
    </>
  );
}
