import { expect, test } from "vitest";

import { ACTS, callerText, refusal, type Act } from "../src/model/caller";
import type { Caller } from "../src/model/types";

const viewer: Caller = { credential: "key", name: "wall screen", role: "viewer", methods: new Set(["SignalService/ListSignals"]), authentication: true };

test("what a role does not include is refused with the reason", () => {
  for (const act of Object.keys(ACTS) as Act[]) expect(refusal(viewer, act)).toBe("Not allowed: this key has the role viewer.");
  const trader: Caller = { ...viewer, role: "trader", methods: new Set([ACTS.close, ACTS.halt]) };
  expect(refusal(trader, "close")).toBe("");
  expect(refusal(trader, "reloadModel")).toBe("Not allowed: this key has the role trader.");
});

test("nothing is kept from a caller that is not known yet", () => {
  expect(refusal(undefined, "halt")).toBe("");
  expect(callerText(undefined)).toBe("unknown");
});

test("the caller is named by its role and the name of its key", () => {
  expect(callerText(viewer)).toBe("viewer, wall screen");
  expect(callerText({ ...viewer, name: "viewer" })).toBe("viewer");
  expect(callerText({ ...viewer, credential: "none", role: "admin", authentication: false })).toBe("admin, as every caller: AUTH=off");
});
