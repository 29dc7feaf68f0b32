import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { kernelPlugin } from "../src/build/kernel-plugin.js";
import { modelCatalogue } from "./model-catalogue.js";
import { modelFiles } from "./model-files.js";

const demo = dirname(fileURLToPath(import.meta.url));

/** Folders of no page: an earlier build is full of pages' copies. */
const OTHER_FOLDERS: readonly string[] = ["dist", "public", "common"];

/** Every other folder with an `index.html` is a page, so a new page touches only its own folder and the list of links. */
const pages = ["", ...readdirSync(demo).filter((folder) => !OTHER_FOLDERS.includes(folder))]
  .map((folder) => join(demo, folder, "index.html"))
  .filter((page) => existsSync(page));

/** The demo pages; builds into `demo/dist`, which any web server can serve from any folder. */
export default defineConfig({
  root: demo,
  base: "./",
  // Pages are files of their own: a wrong address is a 404, not the first page.
  appType: "mpa",
  plugins: [kernelPlugin(), modelFiles(), modelCatalogue()],
  resolve: { tsconfigPaths: true },
  // A worker is bundled by itself and takes no plugin over from the page.
  worker: { format: "es", plugins: () => [kernelPlugin()] },
  // All dependencies are modules that browsers load as they are; bundling what a worker asks for late would reload the page.
  optimizeDeps: { noDiscovery: true, include: [] },
  // The library's sources lie beside the demo, not below it.
  server: { fs: { allow: [join(demo, "..")] } },
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    rolldownOptions: { input: pages },
  },
});
