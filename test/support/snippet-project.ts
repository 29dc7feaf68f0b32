import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
const TSC = join(PROJECT, "node_modules/typescript/bin/tsc");

/** A folder of TypeScript modules inside the project, where `webgpu-attention` resolves as it does for our own code. */
export class SnippetProject {
  readonly #folder: string;

  constructor() {
    const parent = join(PROJECT, ".cache");
    mkdirSync(parent, { recursive: true });
    this.#folder = mkdtempSync(join(parent, "snippets-"));
    // Its own, because what serves the modules looks for the one that includes them.
    const options = {
      noUncheckedIndexedAccess: true,
      exactOptionalPropertyTypes: true,
    };
    const config = {
      extends: "../../tsconfig.json",
      compilerOptions: options,
      include: ["*.ts", "../../src/dispatch/wgsl.d.ts"],
    };
    writeFileSync(join(this.#folder, "tsconfig.json"), JSON.stringify(config));
  }

  /** @returns the module's path */
  write(name: string, code: string): string {
    const path = join(this.#folder, `${name}.ts`);
    writeFileSync(path, code);
    return path;
  }

  /** What the type checker says about the modules, at its strictest; empty when nothing. */
  typeErrors(): string[] {
    const { stdout, error } = spawnSync(process.execPath, [TSC, "-p", this.#folder], { encoding: "utf8" });
    if (error) throw error;
    // Our own sources, which they import, have a check of their own.
    return stdout.split("\n").filter((line) => line.includes(basename(this.#folder)));
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
