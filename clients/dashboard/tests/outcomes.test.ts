import { expect, test } from "vitest";

import { calibrationOf, meanOf, performanceOf, shareOf, type Outcome } from "../src/model/outcomes";

function outcome(changes: Partial<Outcome>): Outcome {
  const rest = { id: "o", signalId: "s", symbol: "USDCOP", action: "BUY" as const, model: "1", shadow: false, acted: true, simulated: false };
  const prices = { confidence: 0.9, entryTime: 0, exitTime: 1, entry: 1, exit: 1, resolution: "TARGET", r: 1, netPct: 1, pnlAccount: 10, barsHeld: 1 };
  return { ...rest, ...prices, ...changes };
}

test("a share has Wilson's interval, also at the ends", () => {
  // Newcombe 1998, table I: 81 of 263, and 0 of 20.
  expect(shareOf(81, 263)).toMatchObject({ low: expect.closeTo(0.2553, 4), high: expect.closeTo(0.3662, 4) });
  expect(shareOf(0, 20)).toMatchObject({ low: 0, high: expect.closeTo(0.1611, 4) });
  expect(shareOf(0, 0)).toEqual({ value: undefined, n: 0 });
});

test("a mean has an interval from two cases on", () => {
  expect(meanOf([1, 3])).toMatchObject({ value: 2, low: expect.closeTo(0.04, 2), high: expect.closeTo(3.96, 2) });
  expect(meanOf([1]).low).toBeUndefined();
  expect(meanOf([]).value).toBeUndefined();
});

test("a trade that broke even is no win and no loss", () => {
  const figures = performanceOf([outcome({ r: 1.5 }), outcome({ r: -1, netPct: -1, resolution: "STOP", pnlAccount: -7 }), outcome({ r: 0, netPct: 0, pnlAccount: 0 })]);
  expect(figures.winRate.value).toBeCloseTo(1 / 3);
  expect(figures.profitFactor.value).toBe(1.5);
  expect(figures.pnl.value).toBe(3);
  expect(figures.resolutions).toEqual([{ name: "TARGET", n: 2 }, { name: "STOP", n: 1 }]);
});

test("without a case there is no figure, and without a loss no profit factor", () => {
  expect(performanceOf([]).winRate.value).toBeUndefined();
  expect(performanceOf([]).pnl.value).toBeUndefined();
  expect(performanceOf([outcome({})]).profitFactor.value).toBeUndefined();
});

test("calibration compares forecasts with how often they were won", () => {
  const cases = [outcome({ winProbability: 0.61 }), outcome({ winProbability: 0.65, netPct: -1 }), outcome({ winProbability: 1 }), outcome({})];
  const { bins, n, brier } = calibrationOf(cases);
  expect(n).toBe(3);
  expect(bins.map(({ forecast, won }) => [forecast, won.value, won.n])).toEqual([[expect.closeTo(0.63), 0.5, 2], [1, 1, 1]]);
  expect(brier).toBeCloseTo((0.39 ** 2 + 0.65 ** 2) / 3);
});
