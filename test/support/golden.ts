import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readSafetensors, type SafetensorsFile } from "./safetensors.js";

const GOLDEN_FOLDER = fileURLToPath(new URL("../golden", import.meta.url));

export interface GoldenFile extends SafetensorsFile {
  readonly file: string;
}

/** The golden files of one mechanism that are kept in this repository. Node only. */
export function goldenFiles(mechanism: string): GoldenFile[] {
  return readdirSync(GOLDEN_FOLDER)
    .filter((file) => file.startsWith(`${mechanism}_`) && file.endsWith(".safetensors"))
    .sort()
    .map((file) => ({ file, ...readSafetensors(readFileSync(join(GOLDEN_FOLDER, file))) }));
}
