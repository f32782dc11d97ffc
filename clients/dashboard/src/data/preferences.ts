/** Preferences in local storage. A browser that has none, or refuses it, starts with the defaults each time. */

import { createContext } from "preact";
import { useContext } from "preact/hooks";

import { DEFAULTS, parsePreferences, type Preferences } from "../model/preferences";

const KEY = "trading-signals";

export function loadPreferences(): Preferences {
  try {
    return parsePreferences(localStorage.getItem(KEY));
  } catch {
    return DEFAULTS;
  }
}

export function savePreferences(preferences: Preferences): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences));
  } catch {
    // It is in force until the page is closed.
  }
}

export interface PreferencesValue {
  readonly preferences: Preferences;
  readonly change: (changes: Partial<Preferences>) => void;
}

export const PreferencesContext = createContext<PreferencesValue>({ preferences: DEFAULTS, change: () => undefined });

export function usePreferences(): PreferencesValue {
  return useContext(PreferencesContext);
}
