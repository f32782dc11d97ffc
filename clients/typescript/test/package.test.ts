/** The package as it is published. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const PACKAGE = process.cwd();
const manifest = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8")) as {
  exports: Record<string, { types: string; default: string } | string>;
  dependencies: Record<string, string>;
  sideEffects: boolean;
};

const LARGEST_PAGE_KB = 55;
const PAGE = `
  import { createClient } from "trading-signals-client/web";
  for await (const event of createClient().follow()) console.log(event);
`;

async function bundled(source: string): Promise<string> {
  const result = await build({
    stdin: { contents: source, resolveDir: PACKAGE },
    bundle: true,
    write: false,
    minify: true,
    format: "esm",
    platform: "browser",
    logLevel: "error",
  });
  return result.outputFiles[0]!.text;
}

test("every export has its code and its types", () => {
  for (const files of Object.values(manifest.exports)) {
    for (const file of typeof files === "string" ? [files] : Object.values(files)) assert(existsSync(join(PACKAGE, file)), file);
  }
});

test("it publishes what it exports, its README and its licence, and nothing else", () => {
  const [packed] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { encoding: "utf8" }));
  const files = (packed.files as { path: string }[]).map(({ path }) => path);
  const others = files.filter((path) => !path.startsWith("dist/"));
  assert.deepEqual(others.sort(), ["LICENSE", "README.md", "package.json"]);
  assert(files.every((path) => !path.startsWith("dist/") || /\.(js|d\.ts)$/.test(path)));
});

test("a page that follows events loads no module of Node and few bytes", async () => {
  const size = gzipSync(await bundled(PAGE), { level: 9 }).length / 1_000;
  assert(size < LARGEST_PAGE_KB, `${size} kB gzipped`);
});

test("importing without using costs nothing", async () => {
  assert.equal(await bundled(`import "trading-signals-client"; import "trading-signals-client/web";`), "");
});

test("the examples of the README are right by the strictest types", () => {
  const examples = [...readFileSync(join(PACKAGE, "README.md"), "utf8").matchAll(/```ts\n(.*?)```/gs)].map((found) => found[1]!);
  assert(examples.length >= 4);
  mkdirSync(join(PACKAGE, "build"), { recursive: true });
  const folder = mkdtempSync(join(PACKAGE, "build", "examples-"));
  try {
    const files = examples.map((_, index) => join(folder, `example-${index}.ts`));
    files.forEach((file, index) => writeFileSync(file, examples[index]!));
    const options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2022", "--types", "node"];
    const tsc = ["tsc", ...options, "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", ...files];
    execFileSync("npx", tsc, { cwd: PACKAGE, encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    assert.fail((error as { stdout: string }).stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
