import { describe, expect, test } from "vitest";

import { inForce, protectionText } from "../src/model/protections";
import type { Protection } from "../src/model/types";
import { T0 } from "./values";

const at = (ms: number): string => new Date(ms).toISOString().slice(11, 16);

function protection(changes: Partial<Protection>): Protection {
  return { name: "MAX_DAILY_LOSS_PCT", unit: "FRACTION", limit: 0.02, value: 0.005, reached: false, reason: "", ...changes };
}

describe("protections", () => {
  test("have value and limit in the same unit", () => {
    expect(protectionText(protection({}), at)).toMatchObject({ title: "Loss of the day", value: "0.50%", limit: "2.00%", state: "not reached" });
    expect(protectionText(protection({ name: "MAX_OPEN_POSITIONS", unit: "COUNT", limit: 3, value: 1 }), at)).toMatchObject({ value: "1", limit: "3" });
  });

  test("have as many decimals as a small limit needs", () => {
    expect(protectionText(protection({ limit: 0.000001, value: 0.00000025 }), at)).toMatchObject({ value: "0.000025%", limit: "0.00010%" });
    expect(protectionText(protection({ limit: 0.000125, value: 0 }), at)).toMatchObject({ value: "0.00%", limit: "0.013%" });
  });

  test("that are reached say until when, if that is known", () => {
    expect(protectionText(protection({ reached: true, until: T0 }), at)).toMatchObject({ state: "reached until 13:00", tone: "reached" });
    expect(protectionText(protection({ reached: true }), at).state).toBe("reached");
  });

  test("that are off have no value", () => {
    expect(protectionText(protection({ limit: 0, value: undefined }), at)).toMatchObject({ value: "–", limit: "off", state: "off" });
  });

  test("by a switch have no limit", () => {
    const text = protectionText(protection({ name: "HALTED_BY_HAND", unit: "SWITCH", limit: undefined, value: 1, reached: true }), at);
    expect(text).toMatchObject({ value: "yes", limit: "–", state: "in force" });
  });

  test("that this page does not know yet are shown by their name", () => {
    expect(protectionText(protection({ name: "MAX_SOMETHING_NEW" }), at).title).toBe("Max something new");
  });

  test("are in force by the first that is reached", () => {
    expect(inForce([protection({}), protection({ name: "A", reached: true }), protection({ name: "B", reached: true })])?.name).toBe("A");
    expect(inForce([protection({})])).toBeUndefined();
  });
});
