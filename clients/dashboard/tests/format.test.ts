import { describe, expect, test } from "vitest";

import * as format from "../src/model/format";
import { parsePreferences } from "../src/model/preferences";
import { explainHash, liveHash, parseRoute } from "../src/model/route";

describe("numbers", () => {
  test.each([
    [4052.3, "4,052.30"],
    [1.17204, "1.17204"],
    [0.00001234, "0.000012340"],
    [97000, "97,000.00"],
    [149.123, "149.123"],
    [undefined, "–"],
    [NaN, "–"],
  ])("price %s is %s", (value, text) => {
    expect(format.price(value)).toBe(text);
  });

  test.each([
    [1.2, "+1.20"],
    [-0.4, "−0.40"],
    [0, "0.00"],
    [-0.001, "0.00"],
    [undefined, "–"],
  ])("signed %s is %s", (value, text) => {
    expect(format.signed(value)).toBe(text);
  });

  test("a level has the decimals of the price that it belongs to", () => {
    expect(format.price(999.5, 1000.25)).toBe("999.50");
    expect(format.price(149.1, 149.123)).toBe("149.100");
  });
});

describe("percentages", () => {
  test.each([
    [12.34, "12.3%", "+12.34%"],
    [0, "0.0%", "0.00%"],
    [0.0001, "0.00010%", "+0.00010%"],
    [-0.004, "−0.0040%", "−0.0040%"],
    [1e-14, "0.000000000000%", "0.000000000000%"],
    [undefined, "–", "–"],
  ])("of %s have enough digits not to look like 0", (value, plain, signed) => {
    expect(format.percent(value)).toBe(plain);
    expect(format.signedPercent(value)).toBe(signed);
  });
});

test.each([
  [0, "0 bars"],
  [1, "1 bar"],
  [1200, "1,200 bars"],
])("%s bars are counted as %s", (count, text) => {
  expect(format.counted(count, "bar")).toBe(text);
});

describe("times", () => {
  const at = Date.UTC(2025, 5, 30, 3, 5, 9);

  test("are those of the chosen zone", () => {
    expect(format.clockSeconds(at, "bogota")).toBe("22:05:09");
    expect(format.dayClock(at, "bogota")).toBe("29 Jun 22:05");
    expect(format.dayClock(at, "utc")).toBe("30 Jun 03:05");
    expect(format.offset(at, "bogota")).toBe("UTC−05:00");
  });

  test("have months of three letters", () => {
    expect([format.day(Date.UTC(2025, 8, 30), "utc"), format.fullDay(Date.UTC(2025, 8, 30), "utc"), format.month(Date.UTC(2025, 8, 30), "utc")]).toEqual(["30 Sep", "30 Sep 2025", "Sep"]);
  });

  test("of another day have the day, in the chosen zone", () => {
    expect(format.moment(at, "utc", at + 3_600_000)).toBe("03:05");
    expect(format.moment(at, "bogota", at + 3_600_000)).toBe("22:05");
    expect(format.moment(at, "bogota", at + 2 * 3_600_000)).toBe("29 Jun 22:05");
    expect(format.moment(at, "utc", at + 366 * 86_400_000)).toBe("30 Jun 2025 03:05");
  });

  test.each([
    [-5, "now"],
    [900, "now"],
    [59_999, "59 s"],
    [60_000, "1 min"],
    [3 * 3_600_000 + 5 * 60_000, "3 h 05"],
    [52 * 3_600_000, "2 d 4 h"],
  ])("an age of %s ms is %s", (ms, text) => {
    expect(format.age(ms)).toBe(text);
  });
});

test("pairs have a slash, other symbols are as they are", () => {
  expect(["USDCOP", "BTCUSDT", "BRK.B"].map(format.pair)).toEqual(["USD/COP", "BTCUSDT", "BRK.B"]);
});

test("addresses lead to what they name", () => {
  expect(parseRoute("")).toMatchObject({ view: "live", symbol: "" });
  expect(parseRoute(liveHash("BRK.B"))).toMatchObject({ view: "live", symbol: "BRK.B" });
  expect(parseRoute(explainHash("a/b"))).toMatchObject({ view: "trust", signal: "a/b" });
  expect(parseRoute("#/live/%")).toMatchObject({ view: "live", symbol: "", unknown: "live/%" });
});

test("preferences that are not understood have their defaults, which make no noise", () => {
  const defaults = { theme: "auto", zone: "bogota", notifications: false, sound: false };
  expect(parsePreferences(null)).toEqual(defaults);
  expect(parsePreferences("{")).toEqual(defaults);
  expect(parsePreferences('{"theme":"pink","zone":"utc","sound":"yes"}')).toEqual({ ...defaults, zone: "utc" });
});
