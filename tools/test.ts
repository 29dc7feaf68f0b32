/**
 * `npm test`: finds or installs the browser that the tests drive, then runs all of Vitest's projects (unit, the GPU tests in
 * Node, Chromium and Deno, the pages). Arguments go to Vitest: `npm test -- --project unit kernels/softmax`.
 */
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ensureBrowser } from "./browser/install-system.js";

const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");
const given = process.argv.slice(2);
const projects = given.includes("--project")
  ? []
  : ["unit", "node-gpu", "chromium", "deno", "pages"].flatMap((name) => ["--project", name]);

process.env.CHROME_PATH ??= ensureBrowser();
const { status } = spawnSync(process.execPath, [vitest, "run", ...projects, ...given], { stdio: "inherit" });
process.exit(status ?? 1);
