/** The same call as a command of curl, in Python, in TypeScript and over gRPC. */
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const python = (value, indent = "") => {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map((each) => python(each, indent)).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${python(each, indent)}`);
  const line = `{${entries.join(", ")}}`;
  return line.length < 80 ? line : `{\n${entries.map((entry) => `${indent}    ${entry},\n`).join("")}${indent}}`;
};

/** A call: { method, url, body, streams, rpc, message }. `body` is a value or undefined; `message` the request of gRPC. */
export const SNIPPETS = {
  curl: ({ method, url, body, streams }) => [
    `curl ${streams ? "-N " : ""}${shell(url)}`,
    ...(streams ? ["-H 'accept: text/event-stream'"] : []),
    ...(method === "POST" && body === undefined ? ["-X POST"] : []),
    ...(body === undefined ? [] : ["-H 'content-type: application/json'", `-d ${shell(JSON.stringify(body))}`]),
  ].join(" \\\n  "),

  Python: ({ method, url, body, streams }) => {
    const sent = [JSON.stringify(url), ...(body === undefined ? [] : [`json=${python(body)}`])];
    if (!streams) {
      return `import httpx\n\nresponse = httpx.${method.toLowerCase()}(${sent.join(", ")})\nresponse.raise_for_status()\nprint(response.json())`;
    }
    return `import json\n\nimport httpx\n\nwith httpx.stream("${method}", ${sent.join(", ")}, timeout=None) as response:\n`
      + "    response.raise_for_status()\n    for line in response.iter_lines():\n        print(json.loads(line))";
  },

  TypeScript: ({ method, url, body, streams }) => {
    if (streams && method === "GET") {
      return `const events = new EventSource(${JSON.stringify(url)}); // resumes by itself\n`
        + "events.onmessage = (event) => console.log(event.lastEventId, JSON.parse(event.data));";
    }
    const options = [];
    if (method !== "GET") options.push(`method: "${method}"`);
    if (body !== undefined) options.push('headers: { "content-type": "application/json" }', `body: JSON.stringify(${JSON.stringify(body)})`);
    const given = options.length ? `, {\n  ${options.join(",\n  ")},\n}` : "";
    const start = `const response = await fetch(${JSON.stringify(url)}${given});\nif (!response.ok) throw new Error(await response.text());\n`;
    if (!streams) return `${start}console.log(await response.json());`;
    return `${start}const lines = response.body!.pipeThrough(new TextDecoderStream());\nfor await (const part of lines) console.log(part);`;
  },

  gRPC: ({ rpc, message, origin, streams }) =>
    `buf curl --protocol grpc --http2-prior-knowledge${streams ? " --timeout 0s" : ""} \\\n  -d ${shell(JSON.stringify(message))} \\\n  ${origin}/${rpc}`,
};
