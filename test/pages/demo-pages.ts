import type { Browser, BrowserContextOptions, Page } from "playwright";
import { expect } from "vitest";
import { launchBrowser } from "../../tools/browser/launch-browser.js";
import { type DemoServer, startDemoServer } from "../../tools/start/demo-server.js";

export interface PageOptions extends BrowserContextOptions {
  /** Runs before the page's own scripts. */
  readonly script?: string;
  /** Called before the page is opened: to answer some of its requests. */
  readonly before?: (page: Page) => Promise<void>;
  /** What the browser may say in the console all the same. */
  readonly expected?: RegExp;
}

/** The demo pages in a browser, to be used as a person would. */
export class DemoPages {
  private constructor(
    readonly browser: Browser,
    readonly server: DemoServer,
  ) {}

  static async open(): Promise<DemoPages> {
    const server = await startDemoServer();
    try {
      const { browser } = await launchBrowser();
      return new DemoPages(browser, server);
    } catch (error) {
      await server.server.close();
      throw error;
    }
  }

  /** Runs `use` on a fresh page; anything that the page complains of in its console fails the test. */
  async use(path: string, use: (page: Page) => Promise<void>, options: PageOptions = {}): Promise<void> {
    const { script, before, expected, ...contextOptions } = options;
    const context = await this.browser.newContext({
      viewport: { width: 1280, height: 900 },
      ...contextOptions,
    });
    if (script !== undefined) await context.addInitScript(script);
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    try {
      await before?.(page);
      await page.goto(`${this.server.url}${path}`);
      await use(page);
      expect(complaints.filter((text) => !expected?.test(text))).toEqual([]);
    } finally {
      await context.close();
    }
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.server.server.close();
  }
}

/** Waits as long as a first load takes on a busy machine, where every kernel is compiled. */
export async function waitForStatus(page: Page, text: RegExp): Promise<void> {
  await page.locator("#status").filter({ hasText: text }).waitFor({ timeout: 240_000 });
}
