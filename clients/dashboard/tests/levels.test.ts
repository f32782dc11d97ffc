import { describe, expect, test } from "vitest";

import { shownLevels } from "../src/model/levels";
import { position, signal } from "./values";

describe("levels", () => {
  const opener = signal(1, { stop: 3990, target: 4015 });

  test("are those of the position, also where a new signal keeps it and has levels of its own", () => {
    const kept = signal(2, { price: 4008, stop: 3998, target: 4023, ratio: 1.5 });
    const { held, proposed } = shownLevels(kept, position(3));
    expect(held).toMatchObject({ entry: 4000, stop: 3990, target: 4015 });
    expect(proposed).toMatchObject({ entry: 4008, stop: 3998, target: 4023 });
  });

  test("of the signal that opened the position are not repeated, and its stop is that of the position, which may trail", () => {
    const { held, proposed } = shownLevels(opener, position(3, { stop: 3995 }));
    expect(held?.stop).toBe(3995);
    expect(proposed).toBeUndefined();
  });

  test("of a signal without a position are proposed only", () => {
    expect(shownLevels(opener, undefined)).toMatchObject({ held: undefined, proposed: { stop: 3990, target: 4015 } });
  });

  test("of a position stay at a HOLD, which has none", () => {
    const hold = signal(4, { action: "HOLD" });
    expect(shownLevels(hold, position(3))).toMatchObject({ held: { stop: 3990 }, proposed: undefined });
    expect(shownLevels(hold, undefined)).toEqual({ held: undefined, proposed: undefined });
  });
});
