import { fileURLToPath } from "node:url";
import { createServer, type ViteDevServer } from "vite";

export const DEMO_CONFIG = fileURLToPath(new URL("../../demo/vite.config.ts", import.meta.url));

export interface DemoServer {
  readonly server: ViteDevServer;
  /** Ends with "/". */
  readonly url: string;
}

/** The demo pages on a free port, for a browser that we drive. Writes nothing to stdout; the caller closes the server. */
export async function startDemoServer(): Promise<DemoServer> {
  const server = await createServer({
    configFile: DEMO_CONFIG,
    logLevel: "silent",
    clearScreen: false,
    // Nobody edits while a search or a test runs: watching would cost time, and a reload would lose the work.
    server: { port: 0, host: "localhost", open: false, hmr: false, watch: null },
  });
  await server.listen();
  const url = server.resolvedUrls?.local[0];
  if (url === undefined) throw new Error("The demo server has no local address.");
  return { server, url };
}
