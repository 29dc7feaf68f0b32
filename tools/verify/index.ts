/**
 * `npm run verify -- --cases DIR`: runs published test vectors through the public API in a real browser.
 * Exit code 0: nothing failed, 1: something did, 2: wrong usage.
 */
import { writeFileSync } from "node:fs";
import { launchBrowser } from "../browser/launch-browser.js";
import { runCommand } from "../command/run-command.js";
import { readArguments, USAGE, type VerifyArguments } from "./arguments.js";
import { type CaseReport, formatReport } from "./case-report.js";
import { CaseRunner } from "./case-runner.js";
import { startCaseServer } from "./case-server.js";

async function verify({ folder, files }: VerifyArguments): Promise<CaseReport[]> {
  const server = await startCaseServer(folder, files);
  try {
    const { browser, adapter } = await launchBrowser();
    console.log(`${files.length} cases on ${adapter}`);
    try {
      const runner = new CaseRunner(browser, server);
      const reports: CaseReport[] = [];
      for (const file of files) {
        const report = await runner.run(file);
        console.log(formatReport(report));
        reports.push(report);
      }
      return reports;
    } finally {
      await browser.close();
    }
  } finally {
    await server.close();
  }
}

await runCommand(USAGE, async (given) => {
  const args = readArguments(given);
  if (args === "help") return "help";
  const reports = await verify(args);
  const count = (status: CaseReport["status"]) => reports.filter((report) => report.status === status).length;
  const [passed, failed, skipped] = [count("passed"), count("failed"), count("skipped")];
  if (args.json)
    writeFileSync(args.json, `${JSON.stringify({ passed, failed, skipped, cases: reports }, null, 2)}\n`);
  if (skipped > 0) console.log(`${skipped} skipped`);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0;
});
