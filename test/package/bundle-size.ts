import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";

/**
 * Bytes after bundling, minifying and gzip of everything that importing all of these entry points brings along at once. What is
 * loaded on demand (measuring candidates) is not among them.
 */
export async function gzipSize(folder: string, entryPoints: readonly string[]): Promise<number> {
  const entry = join(folder, "size-entry.js");
  writeFileSync(entry, entryPoints.map((name) => `export * from ${JSON.stringify(name)};\n`).join(""));
  const result = await build({
    configFile: false,
    root: folder,
    logLevel: "error",
    build: {
      write: false,
      lib: { entry, formats: ["es"] },
      // A library build keeps whitespace unless told otherwise.
      rolldownOptions: { output: { minify: true } },
    },
  });
  const [bundle] = [result].flat();
  if (!bundle || !("output" in bundle)) throw new Error("Vite is watching instead of building");
  const chunks = new Map(
    bundle.output.flatMap((file) => (file.type === "chunk" ? [[file.fileName, file]] : [])),
  );
  const loaded = new Set<string>();
  const load = (name: string): void => {
    const chunk = chunks.get(name);
    if (!chunk || loaded.has(name)) return;
    loaded.add(name);
    chunk.imports.forEach(load);
  };
  for (const { fileName, isEntry } of chunks.values()) if (isEntry) load(fileName);
  const code = [...loaded].map((name) => chunks.get(name)!.code).join("");
  return gzipSync(code, { level: 9 }).length;
}
