import type { Browser, Page } from "playwright";

/** The first load builds every kernel, on a CPU that may be busy. */
const START_TIMEOUT_MS = 600_000;

/**
 * Opens a page and waits until its script has set `window[global]`.
 *
 * @throws Error with what the page complained of when it does not
 */
export async function openPage(browser: Browser, url: string, global: string): Promise<Page> {
  const page = await browser.newPage();
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  // The script's own sign is what counts: "load" would wait for all that it imports, within half a minute.
  await page.goto(url, { waitUntil: "commit" });
  try {
    await page.waitForFunction((name) => name in window, global, { timeout: START_TIMEOUT_MS });
  } catch (cause) {
    throw new Error(`the page did not start: ${problems.join("; ") || (cause as Error).message}`);
  }
  return page;
}
