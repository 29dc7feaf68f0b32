import type { Browser, Page } from "playwright";
import { openPage } from "../browser/open-page.js";
import type { CaseReport } from "./case-report.js";
import type { CaseServer } from "./case-server.js";

/** A CPU driver needs seconds for a first compile; a case that takes this long hangs. */
const CASE_TIMEOUT_MS = 180_000;

/** Runs cases one after another in one page; a page that crashes or hangs costs its case and is replaced. */
export class CaseRunner {
  readonly #browser: Browser;
  readonly #server: CaseServer;
  #page: Page | undefined;

  constructor(browser: Browser, server: CaseServer) {
    this.#browser = browser;
    this.#server = server;
  }

  /** Never rejects for what a single case does; only when no page can be opened at all. */
  async run(file: string): Promise<CaseReport> {
    this.#page ??= await openPage(this.#browser, this.#server.pageUrl, "verifyCase");
    const page = this.#page;
    try {
      return await within(page.evaluate((url) => window.verifyCase(url), this.#server.caseUrl(file)));
    } catch (error) {
      this.#page = undefined;
      // Not awaited: a page that hangs may never close.
      page.close().catch(() => undefined);
      const message = error instanceof Error ? error.message : String(error);
      return { file, mechanism: "?", case: file, status: "failed", outputs: [], message };
    }
  }
}

async function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    const give = () => reject(new Error(`no result after ${CASE_TIMEOUT_MS / 1000} s`));
    timer = setTimeout(give, CASE_TIMEOUT_MS);
  });
  return Promise.race([work, timeout]).finally(() => clearTimeout(timer));
}
