import type { Page } from "playwright";
import { launchBrowser } from "./launch-browser.js";
import { openPage } from "./open-page.js";
import { type PageServerOptions, startPageServer } from "./page-server.js";

/** Pages with these headers are isolated: their clocks have 5 microseconds, those of others 100. */
export const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export interface ServedPage extends PageServerOptions {
  /** Of the project. */
  readonly file: string;
  /** What the page's script sets when it is ready: `window[global]`. */
  readonly global: string;
}

/** A page of the project in a headless browser, for as long as `use` takes. */
export async function withPage<Result>(
  { file, global, ...serving }: ServedPage,
  use: (page: Page) => Promise<Result>,
): Promise<Result> {
  const server = await startPageServer(serving);
  try {
    const { browser } = await launchBrowser();
    try {
      return await use(await openPage(browser, server.url(file), global));
    } finally {
      await browser.close();
    }
  } finally {
    await server.close();
  }
}
