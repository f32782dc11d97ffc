/**
 * Fails if the first view of the built page is larger than it may be: 150 kB in gzip with the chart. The limits are some kB
 * above what it is, so that it is noticed when something comes into the first view that only another one needs.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const LIMITS = { first: 84_000, chart: 140_000 };
const BUILT = fileURLToPath(new URL("../dist", import.meta.url));

const size = (file) => gzipSync(readFileSync(join(BUILT, file)), { level: 9 }).length;
const page = readFileSync(join(BUILT, "index.html"), "utf8");
const assets = readdirSync(join(BUILT, "assets"));
const first = ["index.html", ...assets.map((name) => `assets/${name}`).filter((name) => page.includes(name))];
const chart = assets.filter((name) => name.startsWith("chart-drawing")).map((name) => `assets/${name}`);
const sum = (files) => files.reduce((total, file) => total + size(file), 0);
const sizes = { first: sum(first), chart: sum([...first, ...chart]) };

for (const [name, bytes] of Object.entries(sizes)) {
  const what = name === "first" ? "without the chart" : "with the chart";
  console.log(`first view ${what}: ${(bytes / 1000).toFixed(1)} kB gzip, at most ${LIMITS[name] / 1000}`);
  if (bytes > LIMITS[name]) process.exitCode = 1;
}
