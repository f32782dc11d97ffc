/**
 * Puts the page that `vite build` has written to dist/ where the service serves it from (`make web`).
 *
 * node scripts/pages.mjs            copy it
 * node scripts/pages.mjs --check    fail if what is there is not what was built
 */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const BUILT = fileURLToPath(new URL("../dist", import.meta.url));
const SERVED = fileURLToPath(new URL("../../../server/tradingsignals_server/web", import.meta.url));
const PARTS = ["index.html", "assets"];

function contents(folder) {
  const files = new Map([["index.html", readFileSync(join(folder, "index.html"), "utf8")]]);
  const assets = join(folder, "assets");
  for (const name of existsSync(assets) ? readdirSync(assets) : []) files.set(`assets/${name}`, readFileSync(join(assets, name), "utf8"));
  return files;
}

if (process.argv.includes("--check")) {
  const [built, served] = [contents(BUILT), contents(SERVED)];
  const stale = [...new Set([...built.keys(), ...served.keys()])].filter((name) => built.get(name) !== served.get(name));
  if (stale.length > 0) {
    console.error(`server/tradingsignals_server/web is not what the dashboard builds to (make web): ${stale.join(", ")}`);
    process.exit(1);
  }
} else {
  for (const part of PARTS) {
    rmSync(join(SERVED, part), { recursive: true, force: true });
    cpSync(join(BUILT, part), join(SERVED, part), { recursive: true });
  }
}
