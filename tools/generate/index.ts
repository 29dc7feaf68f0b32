/**
 * `npm run generate -- --model NAME "prompt"`: text from a shipped model, streamed from a headless browser.
 * Exit code 0: written, 1: failed, 2: wrong usage.
 */
import { withPage } from "../browser/with-page.js";
import { runCommand } from "../command/run-command.js";
import { type GenerateRequest, HELP, readArguments } from "./arguments.js";

function generate(request: GenerateRequest): Promise<void> {
  const served = { name: "generate", file: "tools/generate/page.html", global: "generate" };
  return withPage(served, async (page) => {
    await page.exposeFunction("writeText", (text: string) => void process.stdout.write(text));
    await page.exposeFunction("writeNote", (note: string) => console.error(note));
    await page.evaluate(
      (asked) => (window as unknown as { generate(asked: unknown): Promise<void> }).generate(asked),
      request,
    );
    process.stdout.write("\n");
  });
}

await runCommand(HELP, async (args) => {
  const request = readArguments(args);
  if (request === "help") return "help";
  await generate(request);
  return true;
});
