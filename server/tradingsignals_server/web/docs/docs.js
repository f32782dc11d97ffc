/** The page of all calls, drawn from /openapi.json: one view for each call, in which it can be tried. */
import { copyButton, h, json, prose, tabs } from "/docs/dom.js";
import { bodyOf, idOf, pathProblem } from "/docs/entered.js";
import { credentials, hasKey, onKey } from "/docs/key.js";
import { field, fields, nameOf, resolve, useSchemas } from "/docs/schema.js";
import { SNIPPETS } from "/docs/snippets.js";

const main = document.getElementById("main");
const nav = document.getElementById("calls");
const menu = document.getElementById("menu");
const search = document.getElementById("search");

/** Where the id of something that exists is read, so that a call by its id can be tried. */
const IDS = {
  signal_id: ["/api/signals/latest", (found) => found.signal.signal_id],
  position_id: ["/api/signals/positions/active", (found) => found.positions[0]?.position_id],
};
const LONGEST_LINE = 400;
/** POSTs that change nothing. */
const HARMLESS = ["ReplaySignal", "RunBacktest"];

let openapi;
let calls = [];
let stop = () => {};
let redraw = () => {};

const remembered = {
  get: (key) => { try { return localStorage.getItem(`docs.${key}`); } catch { return null; } },
  set: (key, value) => { try { localStorage.setItem(`docs.${key}`, value); } catch { /* not allowed: it is only convenience */ } },
};

// ---------------------------------------------------------------------------------------------------------- one call

/** What a caller has entered: parameters by name, and the text of the body. */
class Entered {
  constructor({ method, path, operation, streams }) {
    Object.assign(this, { method, path, operation, streams });
    this.values = {};
    const content = operation.requestBody?.content["application/json"];
    this.bodyText = content ? JSON.stringify(content.example ?? {}, null, 2) : undefined;
    // Fields that may come either way are sent in the query if any is given there.
    this.eitherWay = Boolean(content && !operation.requestBody.required && operation.parameters?.some((each) => each.in === "query"));
    if (this.eitherWay) this.bodyText = "";
    for (const parameter of operation.parameters ?? []) if (parameter.in === "path") this.values[parameter.name] = parameter.example ?? "";
  }

  get body() {
    try { return bodyOf(this.bodyText); } catch { return undefined; }
  }

  get bodyProblem() {
    try { bodyOf(this.bodyText); return null; } catch (error) { return error.message; }
  }

  /** Why what is entered is no call, or null. */
  get problem() {
    for (const { name, in: place } of this.operation.parameters ?? []) {
      const problem = place === "path" && pathProblem(name, this.values[name]);
      if (problem) return problem;
    }
    return this.bodyProblem && `the body is no JSON: ${this.bodyProblem}`;
  }

  listOf(parameter) {
    return this.values[parameter.name].split(",").map((each) => each.trim()).filter(Boolean);
  }

  get call() {
    let path = this.path;
    const query = new URLSearchParams();
    const message = { ...this.body };
    const headers = {};
    for (const parameter of this.operation.parameters ?? []) {
      const value = this.values[parameter.name] ?? "";
      if (value === "") continue;
      if (parameter.in === "header") {
        headers[parameter.name.toLowerCase()] = value;
        continue;
      }
      if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
      else if (parameter.schema.type === "array") for (const each of this.listOf(parameter)) query.append(parameter.name, each);
      else query.set(parameter.name, value);
      const number = ["integer", "number"].includes(parameter.schema.type) && Number.isFinite(Number(value));
      message[parameter.name] = parameter.schema.type === "array" ? this.listOf(parameter) : number ? Number(value) : parameter.schema.type === "boolean" ? value === "true" : value;
    }
    const text = query.toString();
    const { method, body, streams } = this;
    const wrapped = this.operation.operationId === "PublishBar" ? { bar: body } : message;
    return { method, body, streams, headers, key: hasKey(), url: `${location.origin}${path}${text ? `?${text}` : ""}`, origin: location.origin, rpc: this.operation["x-grpc-method"], message: wrapped };
  }
}

function control(parameter, entered, changed) {
  const id = `p-${parameter.name}`;
  const set = (value) => { entered.values[parameter.name] = value; changed(); };
  const schema = resolve(parameter.schema);
  const choices = schema.enum ?? (schema.type === "boolean" ? ["true", "false"] : null);
  const wanted = parameter.required ? { required: true } : {};
  if (choices) {
    return [h("select", { id, ...wanted, onchange: (event) => set(event.target.value) }, h("option", { value: "" }, "\u2013"), choices.map((each) => h("option", {}, each)))];
  }
  const isList = schema.type === "array";
  const known = /^symbols?$/.test(parameter.name) ? "USDCOP" : parameter.example ?? "";
  const hint = isList ? [known].flat().join(", ") : String(schema.default ?? known);
  const input = h("input", { id, ...wanted, placeholder: hint ? (schema.default === undefined ? `such as ${hint}` : hint) : null, value: entered.values[parameter.name] ?? "",
    autocomplete: "off", spellcheck: "false", oninput: () => set(input.value) });
  const source = IDS[parameter.name];
  if (!source) return [input];
  const button = h("button", { type: "button", onclick: async () => {
    const [path, read] = source;
    let found;
    try { found = read(await (await fetch(path, { headers: credentials() })).json()); } catch { /* there is none yet */ }
    if (found) { input.value = found; set(found); } else button.textContent = "There is none";
  } }, "Take the newest");
  return [input, button];
}

function tryPanel(entered) {
  const { operation, method, streams } = entered;
  const code = h("pre", { tabindex: 0, "aria-label": "The call as code" });
  let language = remembered.get("language") ?? "curl";
  const note = h("span.quiet.small");
  const draw = () => {
    const { problem } = entered;
    code.replaceChildren(problem ? `Not a call: ${problem}` : SNIPPETS[language](entered.call));
    note.textContent = problem ? "" : hint;
  };
  const harmless = method === "GET" || HARMLESS.includes(operation.operationId);
  const hint = harmless ? "to this service" : "changes the state of this service";
  const languages = tabs("Language", SNIPPETS, language, (name) => { language = name; remembered.set("language", name); draw(); });
  const result = h("section.panel", { "aria-label": "Response", hidden: true });
  const shown = example(operation);
  const label = streams ? "Follow" : "Send";
  let sure = harmless;
  const button = h("button.main", { type: "button" }, label);
  const idle = () => { button.textContent = label; stop = () => {}; };
  button.addEventListener("click", async () => {
    if (button.textContent === "Stop") { stop(); return; }
    if (entered.problem) { note.textContent = entered.problem; return; }
    if (!sure) {
      sure = true;
      button.classList.add("sure");
      button.textContent = `${label} for real?`;
      return;
    }
    stop();
    result.hidden = false;
    shown?.remove();
    const { send, follow } = await import("/docs/console.js");
    if (streams) {
      stop = follow(entered.call, result, idle);
      button.textContent = "Stop";
    } else {
      button.disabled = true;
      await send(entered.call, result);
      button.disabled = false;
      if (!harmless) { sure = false; button.classList.remove("sure"); button.textContent = label; }
    }
  });
  const panel = h("div.try", {},
    h("section.panel", { "aria-label": "The call" }, h("div.bar", {}, languages, copyButton(() => code.textContent)), code,
      h("div.bar", {}, button, note)),
    result, shown);
  return { panel, draw };
}

function example(operation) {
  const [[mediaType, content]] = Object.entries(operation.responses["200"].content);
  if (content.example === undefined) return null;
  const isText = typeof content.example === "string";
  const short = (line) => (line.length > LONGEST_LINE ? `${line.slice(0, LONGEST_LINE)} \u2026` : line);
  return h("section.panel.example", { "aria-label": "Example of a response" },
    h("div.bar", {}, h("strong.small", {}, "Example of a response"), h("span.quiet.small", {}, mediaType)),
    h("pre", { tabindex: 0 }, isText ? content.example.split("\n").map(short).join("\n") : json(JSON.stringify(content.example))));
}

function answer(status, reference) {
  const response = reference.$ref ? openapi.components.responses[reference.$ref.split("/").pop()] : reference;
  const [{ schema, example: found }] = Object.values(response.content);
  const good = status === "200";
  const details = h("details.answer", {}, h("summary", {}, h(`span.status.${good ? "good" : "bad"}`, {}, status === "default" ? "otherwise" : status), " ", prose(response.description)[0].childNodes.length ? [...prose(response.description)[0].childNodes] : null));
  details.addEventListener("toggle", () => {
    if (details.children.length > 1) return;
    if (good) details.append(fields(resolve(schema), false, [nameOf(schema)]));
    else details.append(found ? h("pre", {}, json(JSON.stringify(found))) : h("p", {}, "As ", h("a", { href: "#Errors" }, "every error"), "."));
  });
  return details;
}

function callView(call) {
  const { operation, method, path, streams } = call;
  const entered = new Entered(call);
  const { panel, draw } = tryPanel(entered);
  const parameters = operation.parameters ?? [];
  const content = operation.requestBody?.content["application/json"];
  const rows = parameters.map((parameter) => field(parameter.name, parameter.schema,
    { required: parameter.required, description: parameter.description, id: `p-${parameter.name}`, control: control(parameter, entered, draw) }));
  let body = null;
  if (content) {
    const problem = h("p.bad.small", { id: "problem", role: "status" });
    const text = h("textarea", { "aria-label": "Body, JSON", "aria-describedby": "problem", spellcheck: "false", oninput: () => {
      entered.bodyText = text.value;
      problem.textContent = entered.bodyProblem ? `No JSON: ${entered.bodyProblem}` : "";
      text.setAttribute("aria-invalid", String(Boolean(entered.bodyProblem)));
      draw();
    } });
    text.value = entered.bodyText;
    body = [h("h2", {}, entered.eitherWay ? "Body, instead of parameters" : "Body"), text, problem,
      h("details", { open: !entered.eitherWay }, h("summary", {}, "Fields"), fields(resolve(content.schema), true))];
  }
  draw();
  redraw = draw;
  return h("div.call", {},
    h("div.about", {},
      h("div.head", {}, h("h1", {}, operation.operationId),
        h("div.path", {}, h(`span.badge.${call.kind}`, {}, streams ? `${method}, stream` : method), h("code", {}, path)),
        prose(operation.description),
        h("p.quiet.small", {}, "gRPC: ", h("code", {}, operation["x-grpc-method"]))),
      h("div.details", {},
        rows.length ? [h("h2", {}, "Parameters"), h("ul.fields", {}, rows)] : null, body,
        h("h2", {}, "Responses"), Object.entries(operation.responses).map(([status, response]) => answer(status, response)))),
    panel);
}

// -------------------------------------------------------------------------------------------------------- other views

const grpcView = (method) => h("div.about", {}, h("h1", {}, method["x-grpc-method"].split("/")[1]),
  h("div.path", {}, h("span.badge.gRPC", {}, "gRPC only"), h("code", {}, method["x-grpc-method"])), prose(method.description));

function errorsView() {
  const { Error: error, ErrorReason: reasons } = openapi.components.schemas;
  return h("div.about", {}, h("h1", {}, "Errors"), prose(error.description), fields(error, false), h("h2", {}, "Reasons"), prose(reasons.description));
}

const unknownView = (id) => h("div.about", {}, h("h1", {}, "No such call"),
  h("p", {}, "This page has no call ", h("code", {}, id), ". ", h("a", { href: "#" }, "All calls"), " are in the overview."));

function overview() {
  const card = (href, title, text) => h("a.panel", { href }, h("strong", {}, title), text);
  const [first, ...conventions] = prose(openapi.info.description);
  return h("div", {}, h("h1", {}, openapi.info.title), first,
    h("div.cards", {}, card("#GetLatestSignal", "Send a first call", "The newest signal, as JSON, from this page."),
      card("#StreamEvents", "Watch a stream", "Bars, signals and positions while they are committed."),
      card("#Errors", "What can go wrong", "One form for every error, with a reason for programs.")),
    conventions,
    openapi.tags.map((tag) => [h("h2", {}, tag.name), h("p.quiet", {}, tag.description), h("table", {}, h("tbody", {}, entriesOf(tag).map((entry) =>
      h("tr", {}, h("td", {}, h(`span.kind.${entry.kind}`, {}, entry.kind)), h("td", {}, h("a.mono", { href: `#${entry.id}` }, entry.path ?? entry.id)), h("td", {}, prose(entry.summary))))))]),
    h("p", {}, "For programs: ", h("a", { href: "/openapi.json" }, "/openapi.json"), ", and server reflection over gRPC."));
}

// ---------------------------------------------------------------------------------------------- navigation and search

const entriesOf = (tag) => calls.filter((call) => call.tag === tag.name);

function readCalls() {
  for (const tag of openapi.tags) {
    for (const [path, methods] of Object.entries(openapi.paths)) {
      for (const [verb, operation] of Object.entries(methods)) {
        if (!operation.tags.includes(tag.name)) continue;
        const streams = Boolean(operation["x-server-stream"]);
        const method = verb.toUpperCase();
        const body = operation.requestBody?.content["application/json"].schema;
        const words = [operation.operationId, path, operation.description, ...(operation.parameters ?? []).map((each) => `${each.name} ${each.description}`),
          ...(body ? Object.keys(resolve(body).properties) : [])];
        calls.push({ tag: tag.name, id: operation.operationId, path, method, operation, streams, kind: streams ? "STREAM" : method, summary: operation.summary, words: words.join(" ").toLowerCase() });
      }
    }
    for (const method of tag["x-grpc-only"] ?? []) {
      const id = method["x-grpc-method"].split("/")[1];
      calls.push({ tag: tag.name, id, kind: "gRPC", only: method, summary: method.description.split(". ")[0], words: `${id} ${method.description}`.toLowerCase() });
    }
  }
}

function drawNav() {
  const wanted = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (words) => wanted.every((each) => words.includes(each));
  const { Error: error, ErrorReason: reasons } = openapi.components.schemas;
  const link = (id, name, kind) => h("a", { href: `#${id}`, "aria-current": location.hash.slice(1) === id ? "page" : null },
    h("span", {}, name), kind ? h(`span.kind.${kind}`, {}, kind) : null);
  const groups = openapi.tags.map((tag) => [tag.name, entriesOf(tag).filter((entry) => matches(entry.words))]).filter(([, found]) => found.length);
  const showErrors = matches(`errors ${error.description} ${reasons.description}`.toLowerCase());
  document.getElementById("found").replaceChildren(
    ...(wanted.length ? [] : [link("", "Overview")]),
    ...groups.flatMap(([name, found]) => [h("b", {}, name), ...found.map((entry) => link(entry.id, entry.id, entry.kind))]),
    ...(showErrors ? [h("b", {}, "Errors"), link("Errors", "Errors and reasons")] : []),
    ...(groups.length || showErrors ? [] : [h("p.quiet", { role: "status" }, "Nothing found.")]));
}

function showMenu(open) {
  nav.classList.toggle("open", open);
  menu.setAttribute("aria-expanded", String(open));
}

function show({ focus = false } = {}) {
  stop();
  redraw = () => {};
  const id = idOf(location.hash);
  if (id === "main" && focus) return;
  const call = calls.find((each) => each.id === id);
  const isOverview = id === "" || id === "main";
  main.replaceChildren(id === "Errors" ? errorsView() : call?.only ? grpcView(call.only) : call ? callView(call) : isOverview ? overview() : unknownView(id));
  document.title = `${call?.id ?? (id === "Errors" ? "Errors" : isOverview ? "Calls" : "No such call")} \u2013 ${openapi.info.title}`;
  drawNav();
  showMenu(false);
  nav.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  if (focus) { scrollTo(0, 0); main.focus({ preventScroll: true }); }
}

const theme = remembered.get("theme");
if (theme) document.documentElement.dataset.theme = theme;
document.getElementById("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  remembered.set("theme", document.documentElement.dataset.theme);
});
menu.addEventListener("click", () => { showMenu(!nav.classList.contains("open")); if (nav.classList.contains("open")) search.focus(); });
search.addEventListener("input", drawNav);
search.addEventListener("keydown", (event) => {
  const first = nav.querySelector("a");
  if (event.key === "Enter" && search.value.trim() && first) location.hash = first.getAttribute("href");
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && nav.classList.contains("open")) { showMenu(false); menu.focus(); }
  if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(?:INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
  event.preventDefault();
  showMenu(true);
  search.focus();
});
onKey(() => redraw());
addEventListener("hashchange", () => show({ focus: true }));

try {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  openapi = await response.json();
  useSchemas(openapi.components.schemas);
  readCalls();
  show();
} catch (error) {
  main.replaceChildren(h("p.bad", {}, `The description could not be read (${error.message}). Load the page again.`));
}
