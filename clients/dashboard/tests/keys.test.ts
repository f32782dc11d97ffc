import { expect, test } from "vitest";

import { keyProblem } from "../src/model/keys";

/** The check of the page of calls, which is not built from here. */
const OF_CALLS = new URL("../../../server/tradingsignals_server/web/docs/key-problem.js", import.meta.url).pathname;

test.each(["ts_abc-123", "", "ключ", "ké", "two words", "hid\u200bden", "🔑"])("the page of calls says the same of %o", async (text) => {
  const { keyProblem: ofCalls } = (await import(/* @vite-ignore */ OF_CALLS)) as { keyProblem: (text: string) => string };
  expect(ofCalls(text)).toBe(keyProblem(text));
});

test.each(["ts_abc-123", "eyJhbGci.eyJzdWIi.x-_", ""])("a key such as %o may be sent", (text) => {
  expect(keyProblem(text)).toBe("");
});

test.each([
  ["ключ", "“к”"],
  ["key€", "“€”"],
  ["ké", "“é”"],
  ["two words", "a space"],
  ["line\nbreak", "a line break"],
  ["hid\u200bden", "not visible"],
  ["🔑", "“🔑”"],
])("%o cannot be a key", (text, what) => {
  expect(keyProblem(text)).toContain(what);
});
