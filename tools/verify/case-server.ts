import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Plugin } from "vite";
import { startPageServer } from "../browser/page-server.js";

const CASES = "/verify-cases/";

export interface CaseServer {
  readonly pageUrl: string;
  /** Where the page fetches a case file. */
  caseUrl(file: string): string;
  close(): Promise<void>;
}

/** Serves the page from source, and the case files from wherever they lie. */
export async function startCaseServer(folder: string, files: readonly string[]): Promise<CaseServer> {
  const server = await startPageServer({ name: "verify", plugins: [serveCases(folder, files)] });
  return {
    pageUrl: server.url("tools/verify/page.html"),
    caseUrl: (file) => CASES + encodeURIComponent(file),
    close: () => server.close(),
  };
}

function serveCases(folder: string, files: readonly string[]): Plugin {
  return {
    name: "verify:cases",
    configureServer(server) {
      server.middlewares.use(async (request, response, next) => {
        if (!request.url?.startsWith(CASES)) return next();
        try {
          const file = decodeURIComponent(request.url.slice(CASES.length));
          if (!files.includes(file)) throw new Error(`not one of the cases: ${file}`);
          response.end(await readFile(join(folder, file)));
        } catch (error) {
          response.statusCode = 404;
          response.end((error as Error).message);
        }
      });
    },
  };
}
