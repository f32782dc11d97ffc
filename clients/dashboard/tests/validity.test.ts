import { expect, test } from "vitest";

import { marketTime, validityOf } from "../src/model/validity";
import { bar, FIVE, signal, T0 } from "./values";

test("a signal has expired from its valid_until on", () => {
  const made = signal(0, { validUntil: T0 + FIVE });
  expect(validityOf(made, T0 + FIVE - 1)).toBe("valid");
  expect(validityOf(made, T0 + FIVE)).toBe("expired");
});

test("a signal that is over as it is made was never valid", () => {
  expect(validityOf(signal(0, { validUntil: T0 }), T0 - FIVE)).toBe("never");
});

test("the validity of a signal of an earlier version is unknown", () => {
  expect(validityOf(signal(0), T0)).toBe("unknown");
});

test("the time of a market is that of the service", () => {
  expect(marketTime(T0 + 1000, "push", bar(0))).toBe(T0 + 1000);
  expect(marketTime(T0 + 1000, undefined, bar(0))).toBe(T0 + 1000);
});

test("in a simulated or replayed market it is the close of the newest bar", () => {
  for (const feed of ["simulate", "replay"]) {
    expect(marketTime(T0, feed, bar(2))).toBe(T0 + 3 * FIVE);
    expect(marketTime(T0, feed, undefined)).toBe(T0);
  }
});
