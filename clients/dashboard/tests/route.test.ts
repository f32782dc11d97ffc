import { describe, expect, test } from "vitest";

import { explainHash, liveHash, parseRoute } from "../src/model/route";

describe("addresses", () => {
  test.each([
    ["", "live"],
    ["#/", "live"],
    ["#/live", "live"],
    ["#/trust", "trust"],
    ["#/state", "state"],
  ])("%o is the view %s", (hash, view) => {
    expect(parseRoute(hash)).toEqual({ view, symbol: "", signal: "", unknown: "" });
  });

  test.each(["USDCOP", "usdcop", "USD/COP", "usd%2Fcop", "usd-cop"])("of the symbol %s in any form are those of its normal form", (symbol) => {
    expect(parseRoute(`#/live/${symbol}`).symbol).toBe("USDCOP");
  });

  test.each([
    ["#/live/brk/b", "BRK.B"],
    ["#/live/USDCOP/", "USDCOP"],
    ["#/live/ABCDEFGHIJKLMNOPQRST", "ABCDEFGHIJKLMNOPQRST"],
  ])("%o is of the symbol %s", (hash, symbol) => {
    expect(parseRoute(hash)).toMatchObject({ symbol, unknown: "" });
  });

  test("of symbols that are longer than any lead nowhere, and are shown shortened", () => {
    const { symbol, unknown } = parseRoute(`#/live/${"W".repeat(500)}`);
    expect(symbol).toBe("");
    expect(unknown).toHaveLength(41);
  });

  test("of what the page makes lead there", () => {
    expect(parseRoute(liveHash("BRK.B")).symbol).toBe("BRK.B");
    expect(parseRoute(explainHash("a b/c"))).toMatchObject({ view: "trust", signal: "a b/c" });
  });

  test.each([
    ["#/nosuch", "live"],
    ["#/trust/nope", "trust"],
    ["#/trust/signal/", "trust"],
    ["#/trust/signal/a/b", "trust"],
    ["#/state/x", "state"],
    ["#/live/%E0%A4%A", "live"],
    ["#/live/USDCOP/xx", "live"],
    ["#/live/USD/COP/xx", "live"],
    ["#/live/BRK//B", "live"],
    ["#/trust/signal/%", "live"],
  ])("%o leads nowhere, and the view %s says so", (hash, view) => {
    expect(parseRoute(hash)).toMatchObject({ view, unknown: hash.slice(2) });
  });
});
