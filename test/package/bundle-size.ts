import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";

/** What an application's bundle of some entry points holds, minified. */
export interface BundledCode {
  /** What importing the entry points brings along at once. */
  readonly atOnce: string;
  /** What is loaded on demand: measuring candidates. */
  readonly onDemand: string;
}

/** Bundles all exports of these entry points as an application would, in a folder where they are installed. */
export async function bundle(folder: string, entryPoints: readonly string[]): Promise<BundledCode> {
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
  const [built] = [result].flat();
  if (!built || !("output" in built)) throw new Error("Vite is watching instead of building");
  const chunks = new Map(
    built.output.flatMap((file) => (file.type === "chunk" ? [[file.fileName, file]] : [])),
  );
  const loaded = new Set<string>();
  const load = (name: string): void => {
    const chunk = chunks.get(name);
    if (!chunk || loaded.has(name)) return;
    loaded.add(name);
    chunk.imports.forEach(load);
  };
  for (const { fileName, isEntry } of chunks.values()) if (isEntry) load(fileName);
  const codeOf = (wanted: boolean) =>
    [...chunks.values()]
      .filter(({ fileName }) => loaded.has(fileName) === wanted)
      .map(({ code }) => code)
      .join("");
  return { atOnce: codeOf(true), onDemand: codeOf(false) };
}

export function gzipSize(code: string): number {
  return gzipSync(code, { level: 9 }).length;
}
