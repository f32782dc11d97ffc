/** The API key, or token, that calls of this page are sent with. It is kept in this tab, where the dashboard has it too, and is gone with it. */
const NAME = "api-key";
const access = document.getElementById("access");
const input = document.getElementById("key");

let key = "";
try { key = sessionStorage.getItem(NAME) ?? ""; } catch { /* a browser that keeps nothing */ }

/** Headers with the key, if there is one. */
export const credentials = () => (key ? { authorization: `Bearer ${key}` } : {});

/** Whether calls are sent with a key. */
export const hasKey = () => key !== "";

/** Show the field, after a call was refused without a key that is accepted. */
export function askForKey() {
  access.open = true;
  input.focus();
}

/** Have `changed` called when a key is entered or removed. */
export function onKey(changed) {
  const show = () => { access.querySelector("summary").textContent = key ? "Key is set" : "Key"; };
  input.value = key;
  input.addEventListener("input", () => {
    key = input.value.trim();
    try {
      if (key) sessionStorage.setItem(NAME, key);
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
