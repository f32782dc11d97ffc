/** Calls that are sent from the page, and streams shown while they come. Loaded when the first call is sent. */
import { copyButton, counted, h, json } from "/docs/dom.js";
import { askForKey, credentials, NotAKey } from "/docs/key.js";

const SHOWN_EVENTS = 200;
const SHOWN_TEXT = 200_000;

/** Send a call and show its response in `panel`. */
export async function send({ method, url, body, headers }, panel) {
  const began = performance.now();
  panel.replaceChildren(h("div.bar", {}, h("span.quiet", {}, "Sending \u2026")));
  try {
    const response = await fetch(url, request(method, body, "application/json", headers));
    const text = await response.text();
    const id = response.headers.get("x-request-id");
    panel.replaceChildren(
      h("div.bar", {}, status(response), response.headers.has("idempotency-replayed") ? h("span.quiet.small", {}, "replayed") : "", h("span.quiet.small", {}, `${Math.round(performance.now() - began)} ms, ${counted(text.length, "byte")}`),
        copyButton(() => text)),
      h("pre", { tabindex: 0, "aria-label": "Response" }, text.length > SHOWN_TEXT ? [text.slice(0, SHOWN_TEXT), "\u2026"] : json(text)),
      id ? h("div.bar", {}, h("span.quiet.small", {}, "request id ", h("code", {}, id))) : "");
    if (response.status === 401) askForKey();
  } catch (error) {
    failed(panel, error);
  }
}

/** Follow a stream and show its messages in `panel`, the newest first. Returns a function that stops it. */
export function follow({ method, url, body }, panel, ended) {
  const stopper = new AbortController();
  const dot = h("span.dot", { "aria-hidden": "true" });
  const state = h("span.status", { role: "status" }, "Connecting");
  const counts = h("span.quiet.small", {}, "");
  const list = h("ol.events", { tabindex: 0, "aria-label": "Messages, the newest first" });
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => {
    paused = !paused;
    pause.textContent = paused ? "Continue" : "Pause";
    pause.setAttribute("aria-pressed", String(paused));
    if (!paused) draw();
  } }, "Pause");
  let [messages, through, paused, last] = [0, "", false, performance.now()];
  const waiting = [];
  panel.replaceChildren(h("div.bar", {}, dot, state, counts, pause), list);

  const draw = () => {
    const parts = [counted(messages, "message"), through && `sequence ${through}`, `${Math.round((performance.now() - last) / 1000)} s ago`];
    counts.textContent = parts.filter(Boolean).join(" \u00b7 ");
    if (paused) return;
    list.prepend(...waiting.splice(0).reverse());
    while (list.children.length > SHOWN_EVENTS) list.lastChild.remove();
  };
  const clock = setInterval(draw, 1000);
  const end = (text, how) => {
    clearInterval(clock);
    paused = false;
    draw();
    state.textContent = text;
    dot.className = `dot ${how}`;
    pause.remove();
    ended();
  };
  const take = (text) => {
    const message = JSON.parse(text);
    [messages, last] = [messages + 1, performance.now()];
    through = message.through_sequence ?? through;
    waiting.push(...items(message).map((item) => shownItem(item)));
    if (waiting.length > SHOWN_EVENTS) waiting.splice(0, waiting.length - SHOWN_EVENTS);
  };

  (async () => {
    try {
      const response = await fetch(url, { ...request(method, body, "text/event-stream"), signal: stopper.signal });
      if (!response.ok) {
        const text = await response.text();
        panel.replaceChildren(h("div.bar", {}, status(response), copyButton(() => text)), h("pre", { tabindex: 0 }, json(text)));
        clearInterval(clock);
        ended();
        if (response.status === 401) askForKey();
        return;
      }
      state.textContent = "Live";
      dot.className = "dot live";
      let text = "";
      for await (const part of parts(response.body.pipeThrough(new TextDecoderStream()))) {
        const events = (text + part).split("\n\n");
        text = events.pop();
        for (const event of events) {
          const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
          if (data.length) take(data.join("\n"));
        }
        draw();
      }
      end("Ended by the server", "");
    } catch (error) {
      if (stopper.signal.aborted) end("Stopped", "");
      else if (error instanceof NotAKey) {
        end("Not sent", "");
        failed(panel, error);
      } else end(`Broken: ${error.message}`, "off");
    }
  })();
  return () => stopper.abort();
}

/** Read a stream; Safari has no iteration of streams. */
async function* parts(stream) {
  const reader = stream.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}

const request = (method, body, accept, headers = {}) => ({
  method,
  headers: { accept, ...credentials(), ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }) },
  body: body === undefined ? undefined : JSON.stringify(body),
  cache: "no-store",
});

const status = (response) => h(`span.status.${response.ok ? "good" : "bad"}`, { role: "status" }, `${response.status} ${response.statusText}`.trim());

function failed(panel, error) {
  const unsent = error instanceof NotAKey;
  panel.replaceChildren(h("div.bar", {}, h("span.status.bad", { role: "status" }, unsent ? "Not sent" : "No response"),
    h("span.quiet.small", {}, unsent ? error.message : `The service could not be reached (${error.message}).`)));
  if (unsent) askForKey();
}

/** The entries of a message; a heartbeat is an entry too. */
function items(message) {
  const lists = Object.values(message).filter((value) => Array.isArray(value));
  if (lists.length && lists[0].length) return lists[0];
  return [lists.length && !message.error ? { heartbeat: {}, sequence: message.through_sequence } : message];
}

function shownItem(item) {
  const kind = Object.keys(item).find((key) => typeof item[key] === "object" && item[key] !== null && !Array.isArray(item[key]) && key !== "technical_factors" && key !== "probabilities");
  const value = "signal_id" in item || "position_id" in item ? item : (item[kind] ?? item);
  const what = [value.symbol ?? value.bar?.symbol, value.action, value.status, value.confidence === undefined ? null : `${(100 * value.confidence).toFixed(1)}%`,
    value.total_bars && `${value.bars} of ${counted(Number(value.total_bars), "bar")}`, value.bar?.close ?? value.entry_price, (value.timestamp ?? value.bar?.time)?.slice(0, 16).replace("T", " "), value.message].filter((each) => each != null);
  const name = value === item ? (item.position_id ? "position" : item.signal_id ? "signal" : kind ?? "message") : kind;
  const details = h("details", {}, h("summary", {}, h("span.mono", {}, item.sequence ?? "\u2013"), h("span", {}, [name, ...what].join("  \u00b7  "))));
  details.addEventListener("toggle", () => { if (details.children.length === 1) details.append(h("pre", {}, json(JSON.stringify(item)))); });
  return h("li", {}, details);
}
