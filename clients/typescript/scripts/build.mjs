/** Builds dist anew, so that nothing of an earlier version stays in it. */
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const PACKAGE = fileURLToPath(new URL("..", import.meta.url));

rmSync(new URL("../dist", import.meta.url), { recursive: true, force: true });
execFileSync("tsc", ["--project", "tsconfig.build.json"], { cwd: PACKAGE, stdio: "inherit" });
