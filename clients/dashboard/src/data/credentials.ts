/** The API key of this tab. It is sent as a header, so no other page can make use of it, and is gone with the tab. */

const NAME = "api-key";

export function apiKey(): string {
  try {
    return sessionStorage.getItem(NAME) ?? "";
  } catch {
    return ""; // a browser that keeps nothing
  }
}

export function keepApiKey(key: string): void {
  try {
    if (key) sessionStorage.setItem(NAME, key);
    else sessionStorage.removeItem(NAME);
  } catch {
    // It is asked for again when the page is loaded again.
  }
}
