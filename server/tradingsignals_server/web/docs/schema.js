/** Schemas of the OpenAPI document as lists of fields. */
import { counted, h, prose } from "/docs/dom.js";

let schemas = {};
export const useSchemas = (found) => { schemas = found; };
export const nameOf = (schema) => schema.$ref?.split("/").pop();
export const resolve = (schema) => (schema.$ref ? schemas[nameOf(schema)] : schema);
const inner = (schema) => (schema.type === "array" ? schema.items : schema);

export function typeOf(schema) {
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  const name = nameOf(schema);
  if (name) return name;
  return { int64: "integer, as a string", "date-time": "time", double: "number", int32: "integer", uuid: "UUID" }[schema.format]
    ?? { string: "text", boolean: "true or false" }[schema.type] ?? schema.type;
}

/** Bounds and default in words: "1 to 1000, default 100". */
export function bounds(schema) {
  const { minimum, maximum, maxItems } = schema;
  const said = [];
  if (minimum !== undefined && maximum !== undefined) said.push(`${minimum} to ${maximum}`);
  else if (minimum !== undefined) said.push(`at least ${minimum}`);
  if (maxItems !== undefined) said.push(`at most ${maxItems}`);
  if (schema.default !== undefined) said.push(`default ${schema.default}`);
  return said.join(", ");
}

/** One row: name, type, bounds, meaning; what is inside it, to open; and `control`, if it can be given. */
export function field(name, schema, { required, absent, description, control, id }, seen = []) {
  const type = resolve(inner(schema));
  const label = nameOf(inner(schema)) ?? name;
  let more = null;
  if (type.enum) more = h("details.inside", {}, h("summary", {}, type.enum.join(" \u00b7 ")), prose(type.description));
  else if (type.properties && Object.keys(type.properties).length && !seen.includes(label)) {
    more = h("details.inside", {}, h("summary", {}, `${label}: ${counted(Object.keys(type.properties).length, "field")}`));
    more.addEventListener("toggle", () => { if (more.children.length === 1) more.append(fields(type, false, [...seen, label])); });
  }
  const limits = bounds(schema);
  return h("li", {},
    h("div.field", {}, id ? h("label.mono", { for: id }, name) : h("span.mono", {}, name),
      required ? h("span.required", {}, "required") : null, absent ? h("span.absent", {}, "may be absent") : null,
      h("span.type", {}, typeOf(schema), limits ? `, ${limits}` : "")),
    control ? h("div.control", {}, control) : null,
    h("div", {}, prose(description ?? schema.description ?? type.description)), more);
}

/** All fields of a schema, of a request or of a response. */
export function fields(schema, asked, seen = []) {
  const { properties = {}, required = [] } = schema;
  const rows = Object.entries(properties).map(([name, property]) => {
    const needed = required.includes(name);
    return field(name, property, { required: asked && needed, absent: !asked && !needed }, seen);
  });
  return rows.length ? h("ul.fields", {}, rows) : h("p.quiet", {}, "No fields.");
}
