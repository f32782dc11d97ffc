/** Whether to trust it: what it earned, what signals were worth, why one was given, and what it would have done. */

import type { JSX } from "preact";

import type { Route } from "../../model/route";
import { Backtest } from "./backtest";
import { Equity } from "./equity";
import { Explanation } from "./explanation";
import { OutcomeList } from "./outcome-list";
import { Worth } from "./worth";
import "../../styles/trust.css";

export default function Trust({ route }: { route: Route }): JSX.Element {
  return (
    <>
      {route.signal && <Explanation signalId={route.signal} />}
      <Equity />
      <Worth />
      <OutcomeList />
      <Backtest />
    </>
  );
}
