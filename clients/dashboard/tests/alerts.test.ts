import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { signal, T0 } from "./values";

/** A browser that keeps a page silent until `allow` is called, as after a reload. */
class SilentAudio {
  static allow: () => void;
  static tones = 0;
  state = "suspended";
  currentTime = 0;
  destination = {};
  private readonly allowed = new Promise<void>((resolve) => {
    SilentAudio.allow = () => {
      this.state = "running";
      resolve();
    };
  });
  resume = vi.fn(() => this.allowed);
  createGain = () => ({ gain: { setValueAtTime: () => undefined, exponentialRampToValueAtTime: () => undefined }, connect: () => undefined });
  createOscillator = () => ({ frequency: {}, connect: (node: unknown) => node, start: () => (SilentAudio.tones += 1), stop: () => undefined });
}

beforeEach(() => {
  vi.resetModules();
  vi.useFakeTimers({ now: T0 });
  vi.stubGlobal("window", Object.assign(new EventTarget(), { Notification: class {} }));
  vi.stubGlobal("AudioContext", SilentAudio);
  SilentAudio.tones = 0;
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("sounds of a page that was silent do not follow together, and later ones sound", async () => {
  const { beep } = await import("../src/ui/alerts");
  beep(true);
  vi.advanceTimersByTime(3_000);
  beep(false);
  vi.advanceTimersByTime(3_000);
  SilentAudio.allow();
  await vi.advanceTimersByTimeAsync(0);
  expect(SilentAudio.tones).toBe(0);
  beep(true);
  expect(SilentAudio.tones).toBe(2);
});

test("the sound of the gesture that allows it is played", async () => {
  const { beep } = await import("../src/ui/alerts");
  beep(true);
  SilentAudio.allow();
  await vi.advanceTimersByTimeAsync(0);
  expect(SilentAudio.tones).toBe(2);
});

test.each(["pointerdown", "pointerup", "keydown"])("sound is asked for at %s while it is on", async (gesture) => {
  const made: SilentAudio[] = [];
  vi.stubGlobal("AudioContext", class extends SilentAudio {
    constructor() {
      super();
      made.push(this);
    }
  });
  const { allowSound } = await import("../src/ui/alerts");
  const end = allowSound();
  expect(made).toHaveLength(0);
  window.dispatchEvent(new Event(gesture));
  expect(made[0]?.resume).toHaveBeenCalledTimes(1);
  end();
  window.dispatchEvent(new Event(gesture));
  expect(made[0]?.resume).toHaveBeenCalledTimes(1);
});

test("a notification that cannot be made counts as refused", async () => {
  const Illegal = class {
    static permission = "granted";
    static requestPermission = async (): Promise<string> => "granted";
    constructor() {
      throw new TypeError("Illegal constructor");
    }
  };
  vi.stubGlobal("Notification", Illegal);
  const { cannotNotify, mayNotify, notify } = await import("../src/ui/alerts");
  expect(cannotNotify()).toBe(false);
  expect(await mayNotify()).toBe(true);
  expect(notify("BUY", signal(1))).toBe(false);
  expect(cannotNotify()).toBe(true);
  expect(await mayNotify()).toBe(false);
});
