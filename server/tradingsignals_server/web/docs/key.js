/** The API key, or token, that calls of this page are sent with. It is kept in this tab, where the dashboard has it too, and is gone with it. */
import { keyProblem } from "/docs/key-problem.js";

const NAME = "api-key";
const access = document.getElementById("access");
const input = document.getElementById("key");
const why = document.getElementById("key-problem");

let key = "";
try { key = sessionStorage.getItem(NAME) ?? ""; } catch { /* a browser that keeps nothing */ }

/**
 * Headers with the key, if there is one.
 *
 * Throws an error that says so if no header can carry it.
 */
export function credentials() {
  const problem = keyProblem(key);
  if (problem) throw new NotAKey(problem);
  return key ? { authorization: `Bearer ${key}` } : {};
}

/** What was entered as a key cannot be one. */
export class NotAKey extends Error {}

/** Whether calls are sent with a key. */
export const hasKey = () => key !== "";

/** Show the field, after a call was refused without a key that is accepted. */
export function askForKey() {
  access.open = true;
  input.focus();
}

/** Have `changed` called when a key is entered or removed. */
export function onKey(changed) {
  const show = () => {
    const problem = keyProblem(key);
    access.querySelector("summary").textContent = problem ? "Key is wrong" : key ? "Key is set" : "Key";
    why.textContent = problem;
    input.setAttribute("aria-invalid", String(problem !== ""));
  };
  input.value = key;
  input.addEventListener("input", () => {
    key = input.value.trim();
    try {
      if (key && !keyProblem(key)) sessionStorage.setItem(NAME, key);
      else sessionStorage.removeItem(NAME);
    } catch { /* it is asked for again when the page is loaded again */ }
    show();
    changed();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.stopPropagation();
    access.open = false;
    access.querySelector("summary").focus();
  });
  show();
}
