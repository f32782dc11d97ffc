"use strict";

let openapi;

/** Make an element: h("a.mono", {href: "/"}, "text", otherElement). */
function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

/** The little markup that descriptions use: paragraphs, lists, `code`. */
function prose(text = "") {
  const inline = (line) => line.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));
  return text.split("\n\n").map((block) =>
    block.startsWith("- ")
      ? h("ul", {}, block.split("\n").map((line) => h("li", {}, inline(line.slice(2)))))
      : h("p", {}, inline(block.replaceAll("\n", " "))));
}

const resolve = (schema) => (schema.$ref ? openapi.components.schemas[schema.$ref.split("/").pop()] : schema);
const nameOf = (schema) => schema.$ref?.split("/").pop();
const inner = (schema) => (schema.type === "array" ? schema.items : schema);

function typeOf(schema) {
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  const name = nameOf(schema);
  if (name) return name;
  return { int64: "integer, as a string", "date-time": "time", double: "number", int32: "integer" }[schema.format] ?? schema.type;
}

/** One row: name, type, whether it has to be there, meaning; and what is inside it, to open. */
function field(name, schema, { required, absent, description }, seen) {
  const type = resolve(inner(schema));
  const label = nameOf(inner(schema)) ?? name;
  let more = null;
  if (type.enum) more = h("details.inside", {}, h("summary", {}, type.enum.join(" \u00b7 ")), prose(type.description));
  else if (type.properties && Object.keys(type.properties).length && !seen.includes(label)) {
    more = h("details.inside", {}, h("summary", {}, `${label}: ${Object.keys(type.properties).length} fields`), fields(type, false, [...seen, label]));
  }
  return h("li", {},
    h("div.field.mono", {}, name, required ? h("span.required", {}, "required") : null, absent ? h("span.absent", {}, "may be absent") : null,
      h("span.type", {}, typeOf(schema))),
    h("div", {}, prose(description ?? schema.description ?? type.description)), more);
}

function fields(schema, asked, seen = []) {
  const { properties = {}, required = [] } = schema;
  const rows = Object.entries(properties).map(([name, property]) => {
    const needed = required.includes(name);
    return field(name, property, { required: asked && needed, absent: !asked && !needed }, seen);
  });
  return rows.length ? h("ul.fields", {}, rows) : h("p", {}, "No fields.");
}

/** A plausible value, for examples. */
function sample(name, schema) {
  const type = resolve(schema);
  if (type.enum) return type.enum[0];
  if (type.type === "array") return [sample(name, type.items)];
  if (type.type === "object") return sampleObject(type);
  if (type.format === "date-time") return "2025-06-30T13:00:00Z";
  if (type.type === "string") return name === "symbol" ? "USDCOP" : name.toUpperCase();
  return type.type === "number" ? 4250.5 : type.type === "integer" ? 1 : true;
}
const sampleObject = (schema) =>
  Object.fromEntries((schema.required ?? []).map((name) => [name, sample(name, schema.properties[name])]));

function curl(method, path, operation, streams) {
  const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === "path");
  const url = location.origin + inPath.reduce((at, { name }) => at.replace(`{${name}}`, name.toUpperCase()), path);
  const body = operation.requestBody?.content["application/json"].schema;
  const words = ["curl", streams ? "-N -H 'Accept: text/event-stream'" : "-s"];
  if (method === "POST") words.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(body ? sampleObject(body) : {})}'`);
  return [...words, `'${url}'`].join(" ");
}

function example(text) {
  const button = h("button", { type: "button", onclick: async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } }, "Copy");
  return h("div.example", {}, h("pre", {}, text), button);
}

function answer(status, response) {
  const { description, content } = response.$ref ? openapi.components.responses.Error : response;
  const [{ schema }] = Object.values(content);
  const good = status === "200";
  return h("details.answer", { open: good },
    h("summary", {}, h(`span.status.${good ? "good" : "bad"}`, {}, status === "default" ? "otherwise" : status), " ",
      ...prose(description)[0].childNodes, h("span.media", {}, ` ${Object.keys(content).join(", ")}`)),
    fields(resolve(schema), false, [nameOf(schema)]));
}

function call(method, path, operation) {
  const streams = "text/event-stream" in operation.responses["200"].content;
  const parameters = operation.parameters ?? [];
  const body = operation.requestBody;
  const kind = streams ? "STREAM" : method;
  const linked = method === "GET" && !streams && !path.includes("{");
  return h("article", { id: operation.operationId },
    h("h3", {}, h(`span.badge.${kind}`, {}, streams ? "GET, stream" : method),
      linked ? h("a.mono", { href: path }, path) : h("span.mono", {}, path)),
    prose(operation.description),
    h("p.name", {}, "gRPC: ", h("code", {}, operation["x-grpc-method"])),
    example(curl(method, path, operation, streams)),
    parameters.length ? [h("h4", {}, body ? "Parameters, or fields of the body" : "Parameters"),
      h("ul.fields", {}, parameters.map((parameter) => field(parameter.name, parameter.schema, parameter, [])))] : null,
    body?.required ? [h("h4", {}, "Body"), fields(body.content["application/json"].schema, true)] : null,
    h("h4", {}, "Responses"),
    Object.entries(operation.responses).map(([status, response]) => answer(status, response)));
}

const grpcOnly = (method) => h("article", { id: method["x-grpc-method"] },
  h("h3", {}, h("span.badge.gRPC", {}, "gRPC only"), h("span.mono", {}, method["x-grpc-method"])), prose(method.description));

function draw() {
  const nav = document.querySelector("nav");
  const main = document.querySelector("main");
  main.replaceChildren(h("h1", {}, openapi.info.title), ...prose(openapi.info.description),
    h("p", {}, "For programs: ", h("a", { href: "/openapi.json" }, "/openapi.json"), "."));
  const calls = Object.entries(openapi.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })));
  for (const tag of openapi.tags) {
    nav.append(h("b", {}, tag.name));
    main.append(h("h2", { id: tag.name }, tag.name), ...prose(tag.description));
    for (const { path, method, operation } of calls.filter(({ operation }) => operation.tags.includes(tag.name))) {
      nav.append(h("a", { href: `#${operation.operationId}` }, operation.operationId));
      main.append(call(method, path, operation));
    }
    for (const method of tag["x-grpc-only"] ?? []) {
      nav.append(h("a", { href: `#${method["x-grpc-method"]}` }, method["x-grpc-method"].split("/")[1]));
      main.append(grpcOnly(method));
    }
  }
  const { Error: error, ErrorReason: reasons } = openapi.components.schemas;
  nav.append(h("b", {}, h("a", { href: "#Errors" }, "Errors")));
  main.append(h("h2", { id: "Errors" }, "Errors"), ...prose(error.description),
    h("article", {}, fields(error, false), h("h4", {}, "Reasons"), prose(reasons.description)));
  document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

fetch("/openapi.json")
  .then((response) => (response.ok ? response.json() : Promise.reject(new Error(`HTTP ${response.status}`))))
  .then((document) => { openapi = document; draw(); })
  .catch((error) => document.querySelector("main").replaceChildren(
    h("p.failed", {}, `The description could not be read (${error.message}). Load the page again.`)));
