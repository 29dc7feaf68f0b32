import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createServer, type Plugin, type ViteDevServer } from "vite";
import { kernelPlugin } from "../../src/build/kernel-plugin.js";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

export interface PageServer {
  /** Where a file of the project is served: `url("tools/verify/page.html")`. */
  url(file: string): string;
  close(): Promise<void>;
}

export interface PageServerOptions {
  /** Names the folder of the server's cache: servers that run at the same time each have their own. */
  readonly name: string;
  readonly plugins?: readonly Plugin[];
  /** Sent with every response. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Serves the project from source on a free port, kernels compiled, for a browser that we drive. */
export async function startPageServer(options: PageServerOptions): Promise<PageServer> {
  const server = await createServer({
    configFile: false,
    root: PROJECT,
    cacheDir: join(PROJECT, "node_modules/.cache", options.name),
    logLevel: "error",
    plugins: [kernelPlugin(), ...(options.plugins ?? [])],
    resolve: { tsconfigPaths: true },
    // Nothing to pre-bundle, and no reload in the middle of a run because a source file was saved.
    optimizeDeps: { noDiscovery: true, include: [] },
    server: { host: "localhost", port: 0, hmr: false, watch: null, headers: { ...options.headers } },
  });
  await server.listen();
  const port = portOf(server);
  return {
    url: (file) => `http://localhost:${port}/${file}`,
    close: () => server.close(),
  };
}

function portOf(server: ViteDevServer): number {
  const address = server.httpServer?.address();
  if (typeof address !== "object" || !address) throw new Error("the page server has no port");
  return address.port;
}
