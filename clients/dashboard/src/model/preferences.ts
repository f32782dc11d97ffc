/** What this browser remembers. Everything that makes itself noticed is off by default. */

import { ZONES, type Zone } from "./format";

export type Theme = "auto" | "dark" | "light";

export interface Preferences {
  readonly theme: Theme;
  readonly zone: Zone;
  readonly notifications: boolean;
  readonly sound: boolean;
}

export const DEFAULTS: Preferences = { theme: "auto", zone: "bogota", notifications: false, sound: false };

/** Read stored text; what is not understood has its default. */
export function parsePreferences(text: string | null): Preferences {
  let stored: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(text ?? "{}");
    if (typeof parsed === "object" && parsed !== null) stored = parsed as Record<string, unknown>;
  } catch {
    stored = {};
  }
  const theme = stored["theme"];
  const zone = stored["zone"] as Zone;
  return {
    theme: theme === "dark" || theme === "light" ? theme : DEFAULTS.theme,
    zone: ZONES.includes(zone) ? zone : DEFAULTS.zone,
    notifications: stored["notifications"] === true,
    sound: stored["sound"] === true,
  };
}
