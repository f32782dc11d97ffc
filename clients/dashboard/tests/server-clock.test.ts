import { describe, expect, it } from "vitest";

import { afterReading, clockText, offsetOf } from "../src/model/server-clock";

describe("the clock of the service", () => {
  it("is in the middle of the call, and no surer than half of its duration", () => {
    const clock = afterReading(undefined, 1_000, 61_050, 1_100);
    expect(clock).toEqual({ low: 59_950, high: 60_050 });
    expect(offsetOf(clock)).toBe(60_000);
  });

  it("is narrowed by each further reading, also by a slow one", () => {
    let clock = afterReading(undefined, 0, 60_000, 40);
    clock = afterReading(clock, 5_000, 65_390, 5_400);
    expect(clock).toEqual({ low: 59_990, high: 60_000 });
    expect(afterReading(clock, 10_000, 70_200, 10_400)).toBe(clock);
  });

  it("is known anew when a clock was set", () => {
    const clock = afterReading({ low: -20, high: 20 }, 3_600_000, 10_010, 3_600_020);
    expect(offsetOf(clock)).toBe(-3_590_000);
  });

  it("is named when that of the device is wrong by seconds", () => {
    expect(clockText(undefined)).toBe("");
    expect(clockText({ low: 1_900, high: 2_000 })).toBe("");
    expect(clockText({ low: 599_000, high: 601_000 })).toBe("The clock of this device is 10 min behind that of the service. Times and ages on this page go by the service.");
    expect(clockText({ low: -3_600_010, high: -3_599_990 })).toBe("The clock of this device is 1 h 00 ahead of that of the service. Times and ages on this page go by the service.");
  });
});
