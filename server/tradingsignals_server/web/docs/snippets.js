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

const KEY = "TRADINGSIGNALS_API_KEY";
const shellKey = `-H "authorization: Bearer $${KEY}"`;

/** The headers of a call as JSON, with the type of its body, if it has any. */
const headersOf = ({ headers, body }) => ({ ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers });

/** A call: { method, url, body, headers, streams, key, rpc, message }. `body` is a value or undefined; `headers` are what its caller adds; `key`
    says whether it is sent with an API key, which snippets take from the environment; `message` is the request of gRPC. */
export const SNIPPETS = {
  curl: ({ method, url, body, headers, streams, key }) => [
    `curl ${streams ? "-N " : ""}${shell(url)}`,
    ...(key ? [shellKey] : []),
    ...(streams ? ["-H 'accept: text/event-stream'"] : []),
    ...(method === "POST" && body === undefined ? ["-X POST"] : []),
    ...Object.entries(headersOf({ headers, body })).map(([name, value]) => `-H ${shell(`${name}: ${value}`)}`),
    ...(body === undefined ? [] : [`-d ${shell(JSON.stringify(body))}`]),
  ].join(" \\\n  "),

  Python: ({ method, url, body, headers, streams, key }) => {
    const all = [...(key ? [`"authorization": f"Bearer {os.environ['${KEY}']}"`] : []), ...Object.entries(headers).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`)];
    const sent = [JSON.stringify(url), ...(all.length ? ["headers=headers"] : []), ...(body === undefined ? [] : [`json=${python(body)}`])];
    const given = all.length ? `headers = {${all.join(", ")}}\n` : "";
    if (!streams) {
      return `${key ? "import os\n\n" : ""}import httpx\n\n${given}response = httpx.${method.toLowerCase()}(${sent.join(", ")})\nresponse.raise_for_status()\nprint(response.json())`;
    }
    return `import json\n${key ? "import os\n" : ""}\nimport httpx\n\n${given}with httpx.stream("${method}", ${sent.join(", ")}, timeout=None) as response:\n`
      + "    response.raise_for_status()\n    for line in response.iter_lines():\n        print(json.loads(line))";
  },

  TypeScript: ({ method, url, body, headers, streams, key }) => {
    if (streams && method === "GET" && !key) {
      return `const events = new EventSource(${JSON.stringify(url)}); // resumes by itself\n`
        + "events.onmessage = (event) => console.log(event.lastEventId, JSON.parse(event.data));";
    }
    const options = [];
    if (method !== "GET") options.push(`method: "${method}"`);
    const sent = [...(key ? [`authorization: \`Bearer \${process.env.${KEY}}\``] : []),
      ...Object.entries(headersOf({ headers, body })).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`)];
    if (sent.length) options.push(`headers: { ${sent.join(", ")} }`);
    if (body !== undefined) options.push(`body: JSON.stringify(${JSON.stringify(body)})`);
    const given = options.length ? `, {\n  ${options.join(",\n  ")},\n}` : "";
    const start = `const response = await fetch(${JSON.stringify(url)}${given});\nif (!response.ok) throw new Error(await response.text());\n`;
    if (!streams) return `${start}console.log(await response.json());`;
    return `${start}const lines = response.body!.pipeThrough(new TextDecoderStream());\nfor await (const part of lines) console.log(part);`;
  },

  gRPC: ({ rpc, message, headers, origin, streams, key }) => [
    `buf curl --protocol grpc --http2-prior-knowledge${streams ? " --timeout 0s" : ""}`,
    ...(key ? [shellKey, `--reflect-header ${shellKey.slice(3)}`] : []),
    ...Object.entries(headers).map(([name, value]) => `-H ${shell(`${name}: ${value}`)}`),
    `-d ${shell(JSON.stringify(message))}`,
    `${origin}/${rpc}`,
  ].join(" \\\n  "),
};
