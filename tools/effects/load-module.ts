import { fileURLToPath } from "node:url";
import { createServer } from "vite";
import { ESModulesEvaluator, ModuleRunner } from "vite/module-runner";
import { kernelPlugin } from "../../src/build/kernel-plugin.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/**
 * Runs a module that imports the package from its sources: Vite links and checks the kernels.
 *
 * @param path from the project's root
 * @param use what to do with it; what the module imports later is found as long as this takes
 */
export async function withModule<Module, Result>(
  path: string,
  use: (module: Module) => Promise<Result>,
): Promise<Result> {
  const server = await createServer({
    configFile: false,
    root: ROOT,
    logLevel: "error",
    appType: "custom",
    plugins: [kernelPlugin()],
    resolve: { tsconfigPaths: true },
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    optimizeDeps: { noDiscovery: true },
  });
  // A runner of our own: `ssrLoadModule` gives a module up after a minute, which kernels take on a busy machine.
  const { hot } = server.environments.ssr;
  const transport = {
    invoke: (payload: Parameters<typeof hot.handleInvoke>[0]) => hot.handleInvoke(payload),
  };
  const runner = new ModuleRunner({ transport, hmr: false }, new ESModulesEvaluator());
  try {
    return await use(await runner.import<Module>(path));
  } finally {
    await runner.close();
    await server.close();
  }
}
