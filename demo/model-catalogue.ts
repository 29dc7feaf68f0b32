import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Plugin } from "vite";
import { catalogueEntry } from "./catalogue-entry.js";
import type { CatalogueModel } from "./common/catalogue.js";

const CATALOGUE_PATH = "models/catalogue.json";

/** Gives the pages a list of the models in `public/models`, so that a model that is put there appears on them by itself. */
export function modelCatalogue(): Plugin {
  let folder = "";
  const text = async () => JSON.stringify(await readCatalogue(folder));
  return {
    name: "webgpu-attention:model-catalogue",
    configResolved({ publicDir }) {
      folder = join(publicDir, "models");
    },
    configureServer(server) {
      server.middlewares.use(`/${CATALOGUE_PATH}`, (_request, response, next) => {
        text().then((json) => response.setHeader("Content-Type", "application/json").end(json), next);
      });
    },
    async generateBundle() {
      this.emitFile({ type: "asset", fileName: CATALOGUE_PATH, source: await text() });
    },
  };
}

/** By name; folders without a description or weights are none. */
export async function readCatalogue(folder: string): Promise<CatalogueModel[]> {
  const entries = await Promise.all(
    (await readdir(folder)).sort().map(async (name) => {
      const [config, training, weights, files] = await Promise.all([
        readJson(join(folder, name, "config.json")),
        readJson(join(folder, name, "training.json")),
        stat(join(folder, name, "model.safetensors")).catch(missing),
        readdir(join(folder, name)).catch(missing),
      ]);
      if (!config || !weights || !files) return [];
      return [catalogueEntry(name, config, training, weights.size, files.sort())];
    }),
  );
  return entries.flat();
}

async function readJson(path: string): Promise<Record<string, unknown> | undefined> {
  const text = await readFile(path, "utf8").catch(missing);
  return text === undefined ? undefined : JSON.parse(text);
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT" && error.code !== "ENOTDIR") throw error;
}
