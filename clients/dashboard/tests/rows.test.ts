import { describe, expect, test } from "vitest";

import { ALL, noRows, withLive, withPage } from "../src/model/rows";
import { signal } from "./values";

const sequences = (rows: readonly { sequence: number }[]): number[] => rows.map((row) => row.sequence);
const range = (from: number, to: number): number[] => Array.from({ length: from - to + 1 }, (_, index) => from - index);

describe("the list of signals", () => {
  test("shows each signal once, whether a page or the stream brings it first", () => {
    const streamed = withLive(noRows(ALL), [signal(3), signal(4)], 100);
    const merged = withPage(streamed, [signal(4), signal(3), signal(2)], "next", 4);
    expect(sequences(merged.rows)).toEqual([4, 3, 2]);
    expect(sequences(withLive(merged, [signal(4), signal(5)], 100).rows)).toEqual([5, 4, 3, 2]);
  });

  test("does not take entries that the page had seen and its filter refused", () => {
    const list = withPage(noRows({ ...ALL, action: "BUY" }), [signal(2)], "", 9);
    expect(sequences(withLive(list, [signal(7)], 100).rows)).toEqual([2]);
    expect(sequences(withLive(list, [signal(10)], 100).rows)).toEqual([10, 2]);
  });

  test.each([
    ["symbol", { ...ALL, symbol: "EURUSD" }],
    ["action", { ...ALL, action: "SELL" as const }],
    ["confidence", { ...ALL, minConfidence: 0.95 }],
  ])("keeps out what does not pass the filter of %s", (_, filter) => {
    expect(withLive(noRows(filter), [signal(1)], 100).rows).toEqual([]);
    expect(withPage(noRows(filter), [signal(1)], "", 1).rows).toEqual([]);
  });

  test("adds pages below without repeating what overlaps", () => {
    const first = withPage(noRows(ALL), range(10, 6).map((at) => signal(at)), "a", 10);
    const second = withPage(first, range(7, 3).map((at) => signal(at)), "b", 10);
    expect(sequences(second.rows)).toEqual(range(10, 3));
    expect(second.nextToken).toBe("b");
  });

  test("is bounded, and knows that what it dropped has to be found again", () => {
    let list = withPage(noRows(ALL), [signal(1)], "a", 1);
    for (let at = 2; at <= 500; at += 1) list = withLive(list, [signal(at)], 100);
    expect(list.rows.length).toBeLessThanOrEqual(100);
    expect(list.nextToken).toBeUndefined();
    const oldest = list.rows.at(-1)!.sequence;
    const found = withPage(list, range(oldest + 2, oldest - 3).map((at) => signal(at)), "c", 500);
    expect(sequences(found.rows)).toEqual(range(500, oldest - 3));
  });
});
