/** The API key of this tab. It is sent as a header, so no other page can make use of it, and is gone with the tab. */

import { keyProblem } from "../model/keys";

const NAME = "api-key";

let key = kept();

function kept(): string {
  try {
    const text = sessionStorage.getItem(NAME) ?? "";
    return keyProblem(text) ? "" : text;
  } catch {
    return ""; // a browser that keeps nothing
  }
}

/** Return the key that is sent with each call, "" for none. */
export function apiKey(): string {
  return key;
}

/** Send a key with each call from now on. */
export function setApiKey(text: string): void {
  key = text;
}

/** Keep the present key for when the page is loaded again. */
export function keepApiKey(): void {
  try {
    if (key) sessionStorage.setItem(NAME, key);
    else sessionStorage.removeItem(NAME);
  } catch {
    // It is asked for again when the page is loaded again.
  }
}
