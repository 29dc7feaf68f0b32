/**
 * `npm run test:mutants`: plants one fault at a time in a copy of the sources and runs a part of the conformance tests, which
 * must fail. A suite that stays green over a fault is no suite. An argument chooses faults by a part of their name.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { FAULTS, type Fault } from "./faults.js";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const COPIED = [
  "src",
  "kernels",
  "test/support",
  "tools/browser",
  "package.json",
  "tsconfig.json",
  "vitest.config.ts",
];
/** Conformance cases that between them notice every fault, over all kernels, and take seconds. */
const CASES =
  "(agrees with the float64 reference|change nothing|agree too) '?(strips: '?)?(causal 65|causal window 16|grouped|right padding|decode with paddings|every key masked|causal with more queries|key mask|long decode|Dv wider|sinks|head dim 64)";

/** Whether the chosen tests pass in this copy. */
function passes(folder: string): boolean {
  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  const project = ["--project", "node-gpu", "--bail", "1"];
  const run = spawnSync(
    process.execPath,
    [vitest, "run", ...project, "kernels/softmax/softmax", "-t", CASES],
    {
      cwd: folder,
      encoding: "utf8",
      // A fault may hang the driver, which counts as noticed.
      timeout: 180_000,
      env: { ...process.env, NO_COLOR: "1" },
    },
  );
  if (run.error) return false;
  const counted = /Tests .*\d+ (?:passed|failed)/.test(run.stdout);
  if (!counted) throw new Error(`no test ran:\n${run.stdout}\n${run.stderr}`);
  return run.status === 0;
}

function plant(folder: string, { file, find, replace }: Fault): () => void {
  const path = join(folder, file);
  const text = readFileSync(path, "utf8");
  if (text.split(find).length !== 2) throw new Error(`${file} does not have exactly one "${find}"`);
  writeFileSync(
    path,
    text.replace(find, () => replace),
  );
  return () => writeFileSync(path, text);
}

const wanted = process.argv[2] ?? "";
const faults = FAULTS.filter(({ name }) => name.includes(wanted));
const folder = mkdtempSync(join(tmpdir(), "mutants-"));
let survived = 0;
try {
  for (const path of COPIED) cpSync(join(ROOT, path), join(folder, path), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  if (!passes(folder)) throw new Error("the tests fail without any fault");
  for (const fault of faults) {
    const restore = plant(folder, fault);
    const alive = passes(folder);
    restore();
    if (alive) survived++;
    console.log(`${alive ? "SURVIVED" : "killed  "}  ${fault.name} (${fault.file})`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
console.log(`${faults.length - survived} passed, ${survived} failed`);
process.exitCode = survived > 0 ? 1 : 0;
