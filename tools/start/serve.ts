import { createServer } from "vite";
import type { ServeCommand } from "./arguments.js";
import { DEMO_CONFIG } from "./demo-server.js";

/** Serves the demo pages until the process is stopped. */
export async function serve({ port, open }: ServeCommand): Promise<void> {
  const server = await createServer({
    configFile: DEMO_CONFIG,
    // A port that was asked for is meant; the default one may move on.
    server: { ...(port === undefined ? {} : { port, strictPort: true }), open: open && hasDisplay() },
  });
  await server.listen();
  console.log("Demo pages of webgpu-attention; stop with Ctrl-C.");
  server.printUrls();
}

function hasDisplay(): boolean {
  if (process.env.CI) return false;
  if (process.platform !== "linux") return process.env.SSH_CONNECTION === undefined;
  return Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY);
}
