import { readFile } from "node:fs/promises";
import type { Page } from "playwright";
import type { HeadlessProgress } from "../../demo/search/headless.js";
import { type Passage, splitPassages } from "../../demo/search/passages.js";
import { selectSpread } from "../../demo/search/selection.js";
import { launchBrowser } from "../browser/launch-browser.js";
import type { SearchCommand } from "./arguments.js";
import { startDemoServer } from "./demo-server.js";
import { ProgressBar } from "./progress-bar.js";

const SHIPPED_TEXT = new URL("../../demo/public/texts/moby-dick.txt", import.meta.url);

/** Runs the demo page's search in a headless browser and prints `score  passage`, best first, to stdout. */
export async function search(command: SearchCommand, cleanup: Cleanup): Promise<void> {
  // Read before anything is started: a wrong path should fail at once.
  const passages = await readPassages(command);
  const { server, url } = await startDemoServer();
  cleanup.add(() => server.close());
  const { browser } = await launchBrowser({ handleSignals: false });
  cleanup.add(() => browser.close());
  const page = await browser.newPage();
  await page.goto(url);
  const ranking = await searchInPage(page, command, passages);
  for (const { index, score } of ranking)
    process.stdout.write(`${score.toFixed(4)}  ${passages[index]!.text}\n`);
}

/** What must be closed however the command ends, last opened first. */
export class Cleanup {
  readonly #steps: (() => Promise<unknown>)[] = [];

  add(step: () => Promise<unknown>): void {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      await step().catch(() => {});
    }
  }
}

async function readPassages({ text: file, limit }: SearchCommand): Promise<Passage[]> {
  const text = await readFile(file ?? SHIPPED_TEXT, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${file} cannot be read (${error.code}). Give the path of a text file after --text.`);
  });
  if (text.includes("\0")) throw new Error(`${file} is no plain text file. Convert it to UTF-8 text first.`);
  const all = splitPassages(text);
  if (all.length === 0) throw new Error(`${file} has no text in it. Give a file with something to search.`);
  const chosen = selectSpread(all, limit);
  if (file !== undefined && chosen.length < all.length) {
    console.error(
      `${file} has ${all.length} passages; ${chosen.length} of them are searched (--limit takes more).`,
    );
  }
  return chosen;
}

async function searchInPage(page: Page, { query, top }: SearchCommand, passages: readonly Passage[]) {
  const bar = new ProgressBar(process.stderr);
  await page.exposeFunction("reportProgress", ({ phase, done, total }: HeadlessProgress) =>
    bar.show(phase === "load" ? "Loading the model  " : "Reading the passages", done, total),
  );
  try {
    return await page.evaluate(
      async ([texts, question, count]) => {
        // Served and compiled by Vite; a literal path would be resolved here, in Node.
        const path = "/search/headless.ts";
        const { searchHeadless } = (await import(path)) as typeof import("../../demo/search/headless.js");
        const { reportProgress } = window as unknown as { reportProgress(progress: unknown): Promise<void> };
        return searchHeadless(texts, question, count, (progress) => void reportProgress(progress));
      },
      [passages.map(({ text }) => text), query, top] as const,
    );
  } catch (error) {
    throw new Error(`The search failed: ${pageMessage(error as Error)}`, { cause: error });
  } finally {
    bar.clear();
  }
}

/** Playwright puts the call before a page's error and the page's stack behind it. */
function pageMessage({ message }: Error): string {
  return message.split("\n")[0]!.replace(/^page\.evaluate: (?:\w+: )?/, "");
}
