import { expect, test } from "vitest";

import { shownFigure } from "../src/model/backtests";
import { endings, figure, groupsOf, inUnit, titleOf, type Figure, type Performance } from "../src/model/performance";

function figureOf(name: string, value: number | undefined, unit = "count"): Figure {
  return { name, value, unit, n: 4 };
}

const trades = (value: number) => new Map([["trades", figureOf("trades", value)]]);

const PERFORMANCE: Performance = {
  figures: trades(4),
  groups: [
    { dimension: "RESOLUTION", key: "STOP", figures: trades(1) },
    { dimension: "RESOLUTION", key: "TARGET", figures: trades(3) },
    { dimension: "SYMBOL", key: "USDCOP", figures: trades(4) },
  ],
  bins: [],
  truncated: false,
  simulated: false,
  currency: "USD",
};

test("a figure that is not there has no cases, and is not 0", () => {
  expect(figure(PERFORMANCE.figures, "sharpe")).toEqual({ value: undefined, n: 0 });
  expect(inUnit(undefined, "R")).toBe("–");
});

test("groups are of one dimension, and endings have the most frequent first", () => {
  expect(groupsOf(PERFORMANCE, "SYMBOL").map(({ key }) => key)).toEqual(["USDCOP"]);
  expect(endings(PERFORMANCE)).toEqual([{ name: "TARGET", n: 3 }, { name: "STOP", n: 1 }]);
});

test.each([
  [45.678, "percent", "45.68%"],
  [-0.456, "R", "−0.46 R"],
  [12.3, "account currency", "+12.30"],
  [1234, "count", "1,234"],
  [0.25, "probability", "25.0%"],
  [2, "calendar days", "2.0 days"],
  [0.0123, "ms", "0.01 ms"],
  [0.2345, "ratio", "0.235"],
  [1.5, "ratio", "1.50"],
])("%d in the unit %s is %s", (value, unit, text) => {
  expect(inUnit(value, unit)).toBe(text);
});

test.each([
  ["average_win_r", "R", "Average win"],
  ["average_win", "account currency", "Average win, USD"],
  ["cvar_95_pct", "percent", "CVAR 95"],
  ["longest_drawdown_days", "calendar days", "Longest drawdown"],
  ["inference_ms_p99", "ms", "Inference, 99th percentile"],
])("the title of %s in %s is %s", (name, unit, title) => {
  expect(titleOf(figureOf(name, 1, unit), "USD")).toBe(title);
});

test("a figure of a run without cases is not known, and it has no trades", () => {
  const figures = new Map([["pnl", { value: 0, n: 0 }], ["trades", { value: 0, n: 0 }], ["sharpe", { value: 1.2, n: 20 }]]);
  expect(["pnl", "trades", "sharpe", "brier"].map((name) => shownFigure(figures, name).value)).toEqual([undefined, 0, 1.2, undefined]);
});
