/** Elements: h("a.mono", { href: "/" }, "text", element). Nothing here parses text as HTML. */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  element.classList.add(...classes.filter(Boolean));
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** The little markup that descriptions use: paragraphs, lists, `code`. */
export function prose(text = "") {
  const inline = (line) => line.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));
  return text.split("\n\n").map((block) =>
    block.startsWith("- ")
      ? h("ul", {}, block.split("\n").map((line) => h("li", {}, inline(line.slice(2)))))
      : h("p", {}, inline(block.replaceAll("\n", " "))));
}

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*|\btrue\b|\bfalse\b|\bnull\b)/g;

/** JSON, indented and coloured. Text that is no JSON stays as it is. */
export function json(text) {
  let shown = text;
  try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { return [text]; }
  const parts = [];
  let at = 0;
  for (const found of shown.matchAll(TOKEN)) {
    parts.push(shown.slice(at, found.index));
    const [all, string, colon, other] = found;
    if (other !== undefined) parts.push(h("span.n", {}, other));
    else parts.push(h(colon ? "span.k" : "span.s", {}, string), colon ?? "");
    at = found.index + all.length;
  }
  return [...parts, shown.slice(at)];
}

/** "1 field", "1,200 fields". */
export const counted = (count, one) => `${count.toLocaleString("en")} ${count === 1 ? one : `${one}s`}`;

/** A button that copies what `text` returns. */
export function copyButton(text) {
  const button = h("button", { type: "button", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } }, "Copy");
  return button;
}

/** Tabs: `choices` has labels and functions that return what is shown. Calls `changed` with the label that is selected. */
export function tabs(label, choices, selected, changed) {
  const names = Object.keys(choices);
  const select = (name, focus = false) => {
    for (const tab of list.children) {
      const current = tab.textContent === name;
      tab.setAttribute("aria-selected", String(current));
      tab.tabIndex = current ? 0 : -1;
      if (current && focus) tab.focus();
    }
    changed(name);
  };
  const list = h("div", { role: "tablist", "aria-label": label, onkeydown: (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = names.indexOf(document.activeElement.textContent);
    select(names[(at + step + names.length) % names.length], true);
  } }, names.map((name) => h("button", { type: "button", role: "tab", onclick: () => select(name) }, name)));
  select(names.includes(selected) ? selected : names[0]);
  return list;
}
