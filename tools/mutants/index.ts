/**
 * `npm run test:mutants`: plants one fault at a time in a copy of the sources and runs a part of the tests, which must fail. A
 * suite that stays green over a fault is no suite. An argument chooses faults by a part of their name or file.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { CALIBRATION_FAULTS } from "./calibration-faults.js";
import { type Fault, SOFTMAX_FAULTS } from "./faults.js";
import { CALIBRATION, runTests, SOFTMAX } from "./run-tests.js";

const SUITES = [
  { suite: SOFTMAX, faults: SOFTMAX_FAULTS },
  { suite: CALIBRATION, faults: CALIBRATION_FAULTS },
];

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
const suites = SUITES.map(({ suite, faults }) => ({
  suite,
  faults: faults.filter(({ name, file }) => name.includes(wanted) || file.includes(wanted)),
})).filter(({ faults }) => faults.length > 0);
const folder = mkdtempSync(join(tmpdir(), "mutants-"));
const counts = { survived: 0, killed: 0, hung: 0 };
try {
  for (const path of COPIED) cpSync(join(ROOT, path), join(folder, path), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  // Every fault is looked for before the first one takes its time.
  for (const fault of suites.flatMap(({ faults }) => faults)) plant(folder, fault)();
  for (const { suite, faults } of suites) {
    const healthy = runTests(ROOT, folder, suite);
    if (healthy !== "passed") throw new Error(`without any fault, the tests ${healthy}`);
    for (const fault of faults) {
      const restore = plant(folder, fault);
      const found = runTests(ROOT, folder, suite);
      const outcome = ({ passed: "survived", failed: "killed", hung: "hung" } as const)[found];
      restore();
      counts[outcome]++;
      console.log(
        `${outcome === "survived" ? "SURVIVED" : outcome.padEnd(8)}  ${fault.name} (${fault.file})`,
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
// A test that never ends does notice, but says nothing: worth a look at why.
if (counts.hung > 0) console.log(`${counts.hung} hung`);
console.log(`${counts.killed + counts.hung} passed, ${counts.survived} failed`);
process.exitCode = counts.survived > 0 ? 1 : 0;
