/**
 * The clock of the service, as far as this device knows it. Commits and heartbeats have times by it, so ages go by it too:
 * the clock of a device may be wrong by hours. Times of a simulated or replayed market are by neither clock, and have no age.
 */

import { age } from "./format";

/** Bounds of the milliseconds that the clock of the service is ahead of that of this device; negative if it is behind. */
export interface ServerClock {
  readonly low: number;
  readonly high: number;
}

/** A difference, in milliseconds, from which on it is shown. */
export const SHOWN_FROM = 2_000;

/** Narrow what is known by one more reading: a call was sent, the service read its clock, the response came. */
export function afterReading(known: ServerClock | undefined, sent: number, read: number, received: number): ServerClock {
  const reading = { low: read - received, high: read - sent };
  if (!known) return reading;
  const both = { low: Math.max(known.low, reading.low), high: Math.min(known.high, reading.high) };
  // One of the clocks was set since, or it is that of another server.
  return both.low > both.high ? reading : both.low === known.low && both.high === known.high ? known : both;
}

/** Milliseconds to add to the time of this device for that of the service; 0 as long as nothing is known. */
export function offsetOf(clock: ServerClock | undefined): number {
  return clock ? Math.round((clock.low + clock.high) / 2) : 0;
}

/** What is said of a clock of this device that is wrong; "" if it is right. */
export function clockText(clock: ServerClock | undefined): string {
  const offset = offsetOf(clock);
  if (Math.abs(offset) < SHOWN_FROM) return "";
  return `The clock of this device is ${age(Math.abs(offset))} ${offset > 0 ? "behind" : "ahead of"} that of the service. Times and ages on this page go by the service.`;
}
