/** Notifications and sounds, which browsers allow under conditions of their own. */

import type { Signal } from "../model/types";

let fails = false;

/** True once a notification was allowed, and could not be shown. */
export function cannotNotify(): boolean {
  return fails;
}

/** Show a notification, if the browser allows it; false if it never can, as Chrome on Android. */
export function notify(text: string, signal: Signal): boolean {
  if (!("Notification" in window) || Notification.permission !== "granted") return true;
  try {
    new Notification(text, { body: signal.reasons[0] ?? "", tag: signal.symbol });
  } catch {
    fails = true;
  }
  return !fails;
}

/** Ask for the permission to notify; false if it was refused. */
export async function mayNotify(): Promise<boolean> {
  if (fails || !("Notification" in window)) return false;
  return (await Notification.requestPermission()) === "granted";
}

/** Milliseconds for which a sound may wait until the browser allows it; a later one would say what is no longer new. */
const MAX_WAIT = 1_000;
const GESTURES = ["pointerdown", "pointerup", "keydown"];

let context: AudioContext | undefined;

/** Let sounds be heard from the next gesture on: browsers keep a page silent until then. Returns what ends it. */
export function allowSound(): () => void {
  const resume = (): void => {
    context ??= new AudioContext();
    if (context.state !== "running") context.resume().catch(() => undefined);
  };
  for (const gesture of GESTURES) window.addEventListener(gesture, resume);
  return () => {
    for (const gesture of GESTURES) window.removeEventListener(gesture, resume);
  };
}

/** Two short tones: upwards for BUY, downwards for SELL. None if the browser does not allow them now. */
export function beep(up: boolean): void {
  const audio = (context ??= new AudioContext());
  if (audio.state === "running") {
    play(audio, up);
    return;
  }
  const asked = Date.now();
  const late = (): boolean => Date.now() - asked > MAX_WAIT;
  audio.resume().then(() => late() || play(audio, up), () => undefined);
}

function play(audio: AudioContext, up: boolean): void {
  const start = audio.currentTime;
  const tones = up ? [660, 880] : [660, 495];
  tones.forEach((frequency, index) => {
    const oscillator = audio.createOscillator();
    const volume = audio.createGain();
    oscillator.frequency.value = frequency;
    volume.gain.setValueAtTime(0.08, start + index * 0.14);
    volume.gain.exponentialRampToValueAtTime(0.0001, start + index * 0.14 + 0.13);
    oscillator.connect(volume).connect(audio.destination);
    oscillator.start(start + index * 0.14);
    oscillator.stop(start + index * 0.14 + 0.14);
  });
}
