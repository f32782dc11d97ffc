import { expect, test } from "vitest";

import { keyProblem } from "../src/model/keys";

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
