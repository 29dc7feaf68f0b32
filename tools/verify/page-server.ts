import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createServer, type Plugin, type ViteDevServer } from "vite";
import { kernelPlugin } from "../../src/build/kernel-plugin.js";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
const CASES = "/verify-cases/";

export interface PageServer {
  readonly pageUrl: string;
  /** Where the page fetches a case file. */
  caseUrl(file: string): string;
  close(): Promise<void>;
}

/** Serves the page from source, and the case files from wherever they lie. */
export async function startPageServer(folder: string, files: readonly string[]): Promise<PageServer> {
  const server = await createServer({
    configFile: false,
    root: PROJECT,
    cacheDir: join(PROJECT, "node_modules/.cache/verify"),
    logLevel: "error",
    plugins: [kernelPlugin(), serveCases(folder, files)],
    resolve: { tsconfigPaths: true },
    // Nothing to pre-bundle, and no reload in the middle of a run because a source file was saved.
    optimizeDeps: { noDiscovery: true, include: [] },
    server: { host: "localhost", port: 0, hmr: false, watch: null },
  });
  await server.listen();
  return {
    pageUrl: `http://localhost:${portOf(server)}/tools/verify/page.html`,
    caseUrl: (file) => CASES + encodeURIComponent(file),
    close: () => server.close(),
  };
}

function portOf(server: ViteDevServer): number {
  const address = server.httpServer?.address();
  if (typeof address !== "object" || !address) throw new Error("the page server has no port");
  return address.port;
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
