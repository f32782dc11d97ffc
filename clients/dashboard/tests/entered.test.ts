import { expect, test } from "vitest";

/** Of the page of calls, which is not built from here. */
const FILE = new URL("../../../server/tradingsignals_server/web/docs/entered.js", import.meta.url).pathname;
const { idOf, bodyOf, pathProblem } = (await import(/* @vite-ignore */ FILE)) as {
  idOf: (hash: string) => string;
  bodyOf: (text: string | undefined) => unknown;
  pathProblem: (name: string, value: string) => string;
};

test.each([["", ""], ["#ListSignals", "ListSignals"], ["#a%20b", "a b"], ["#%E0%A4%A", "%E0%A4%A"]])("the hash %o names %o", (hash, id) => {
  expect(idOf(hash)).toBe(id);
});

test("a body with a number that would be sent as null is refused, and one without text is none", () => {
  expect(bodyOf('{"a": [1e308]}')).toEqual({ a: [1e308] });
  expect(bodyOf(" \n")).toBeUndefined();
  expect(bodyOf(undefined)).toBeUndefined();
  expect(() => bodyOf('{"bar": {"close": 1e999}}')).toThrow("the number at “close” is too large");
  expect(() => bodyOf("[-1e999]")).toThrow("is too large");
  expect(() => bodyOf("{")).toThrow(SyntaxError);
});

test("a value of a path that browsers take for a step to another path is refused", () => {
  const problems = [".", "..", "...", "a..", "../b", ""].map((value) => Boolean(pathProblem("signal_id", value)));
  expect(problems).toEqual([true, true, false, false, false, false]);
});
