/**
 * Runs the tests by the runner of Node, which reads no TypeScript in version 20.
 *
 * node scripts/test.mjs [--test-name-pattern ...]
 */
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
const OUT = join(PACKAGE, "build", "test");

rmSync(OUT, { recursive: true, force: true });
const tests = readdirSync(join(PACKAGE, "test")).filter((file) => file.endsWith(".test.ts"));
await build({
  entryPoints: tests.map((file) => join(PACKAGE, "test", file)),
  outdir: OUT,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  packages: "external",
  platform: "node",
  format: "esm",
  sourcemap: "inline",
  logLevel: "warning",
});
const files = tests.map((file) => join(OUT, file.replace(/\.ts$/, ".mjs")));
const run = spawnSync(process.execPath, ["--enable-source-maps", "--test", "--test-reporter=spec", ...process.argv.slice(2), ...files], {
  cwd: PACKAGE,
  stdio: "inherit",
});
process.exit(run.status ?? 1);
