import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { CaseReport } from "../../tools/verify/case-report.js";
import { runTool, type ToolRun } from "./run-tool.js";

/** Runs the command behind `npm run verify` with these arguments. */
export function runVerify(...args: string[]): Promise<ToolRun> {
  return runTool("tools/verify/index.ts", ...args);
}

/** Verifies a folder; writes the results into it and reads them back. */
export async function verifyFolder(folder: string): Promise<ToolRun & { cases: CaseReport[] }> {
  const json = join(folder, "results.json");
  const verified = await runVerify("--cases", folder, "--json", json);
  const { cases } = JSON.parse(readFileSync(json, "utf8")) as { cases: CaseReport[] };
  return { ...verified, cases };
}
