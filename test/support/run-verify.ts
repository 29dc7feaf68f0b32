import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { CaseReport } from "../../tools/verify/case-report.js";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

export interface Verified {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command behind `npm run verify` with these arguments. */
export function runVerify(...args: string[]): Promise<Verified> {
  const child = spawn(process.execPath, ["--import", "tsx", "tools/verify/index.ts", ...args], {
    cwd: PROJECT,
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
}

/** Verifies a folder; writes the results into it and reads them back. */
export async function verifyFolder(folder: string): Promise<Verified & { cases: CaseReport[] }> {
  const json = join(folder, "results.json");
  const verified = await runVerify("--cases", folder, "--json", json);
  const { cases } = JSON.parse(readFileSync(json, "utf8")) as { cases: CaseReport[] };
  return { ...verified, cases };
}
