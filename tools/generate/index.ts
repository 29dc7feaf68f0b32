/**
 * `npm run generate -- --model NAME "prompt"`: text from a shipped model, streamed from a headless browser.
 * Exit code 0: written, 1: failed, 2: wrong usage.
 */
import { launchBrowser } from "../browser/launch-browser.js";
import { openPage } from "../browser/open-page.js";
import { startPageServer } from "../browser/page-server.js";
import { type GenerateRequest, HELP, readArguments, UsageError } from "./arguments.js";

async function generate(request: GenerateRequest): Promise<void> {
  const server = await startPageServer({ name: "generate" });
  try {
    const { browser } = await launchBrowser();
    try {
      const page = await openPage(browser, server.url("tools/generate/page.html"), "generate");
      await page.exposeFunction("writeText", (text: string) => void process.stdout.write(text));
      await page.exposeFunction("writeNote", (note: string) => console.error(note));
      await page.evaluate(
        (asked) => (window as unknown as { generate(asked: unknown): Promise<void> }).generate(asked),
        request,
      );
      process.stdout.write("\n");
    } finally {
      await browser.close();
    }
  } finally {
    await server.close();
  }
}

async function main(): Promise<number> {
  try {
    const request = readArguments(process.argv.slice(2));
    if (request === "help") console.log(HELP);
    else await generate(request);
    return 0;
  } catch (error) {
    console.error(error instanceof UsageError ? `${error.message}\n\n${HELP}` : (error as Error).message);
    return error instanceof UsageError ? 2 : 1;
  }
}

process.exitCode = await main();
