import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { type Plugin, transformWithOxc } from "vite";
import type { KernelMod, KernelModule } from "../dispatch/kernel-module.js";
import { compileKernel, reachableFiles, readKernelSources } from "./compile-kernel.js";
import { emitKernel, emitWhole } from "./emit-kernel.js";
import { KernelBuildError } from "./kernel-build-error.js";
import { KernelCache } from "./kernel-cache.js";
import { closeTint } from "./tint.js";

/** Prefix of the virtual modules that hold one literal each. */
const LITERAL = "virtual:webgpu-attention/";
const KERNELS = resolve(dirname(fileURLToPath(import.meta.url)), "../../kernels");

/**
 * Compiles one `.wgsl` file below `kernels/` as the plugin does, or takes it from the cache.
 *
 * @throws KernelBuildError with file and line
 */
export async function compileKernelFile(
  file: string,
  root = KERNELS,
  // Kernels of tests are seen once.
  cache = root === KERNELS ? new KernelCache() : undefined,
) {
  const sources = readKernelSources(root);
  const path = `./${relative(root, file).split(sep).join("/")}`;
  if (!(path in sources.files)) throw new KernelBuildError(`no such kernel below ${root}`, file, 1);
  const bindings = await declaredBindings(file);
  const texts = reachableFiles(sources, path).map((reachable) => [reachable, sources.files[reachable]]);
  const compile = () => compileKernel(sources, path, bindings);
  return cache ? cache.get(path, [bindings, texts], compile) : compile();
}

/**
 * Vite plugin: importing a `.wgsl` file gives its `KernelModule` (linked, reflected, validated, all variants).
 *
 * The names that TypeScript binds stand in the folder's `bindings.ts` as `BINDINGS = { tiled: ["params", ...] }`; the
 * build fails where they and the WGSL differ, and TypeScript's own check makes every dispatch supply exactly these names.
 */
export function kernelPlugin(options: { root?: string } = {}): Plugin {
  const root = options.root ?? KERNELS;
  const literals = new Map<string, string>();
  let building = false;

  /** A kernel that imports its literals, so that the bundle holds each once for all kernels. */
  function importing(kernel: KernelModule): string {
    const emitted = emitKernel(kernel);
    for (const { name, literal } of emitted.literals) literals.set(`${LITERAL}${name}`, literal);
    const imports = emitted.literals.map(({ name }) => `import ${name} from "${LITERAL}${name}";\n`);
    return `${imports.join("")}export default ${emitted.expression};\n`;
  }

  return {
    name: "webgpu-attention:kernels",
    enforce: "pre",
    configResolved({ command }) {
      building = command === "build";
    },
    resolveId(id) {
      return literals.has(id) ? `\0${id}` : null;
    },
    async load(id) {
      const literal = literals.get(id.slice(1));
      if (literal !== undefined)
        return { code: `export default ${literal};`, map: null, moduleType: "js", moduleSideEffects: false };
      const file = id.split("?")[0]!;
      if (!file.endsWith(".wgsl") || id.includes("?raw")) return null;
      if (/\?mod\b/.test(id)) {
        this.addWatchFile(file);
        return {
          code: `export default ${JSON.stringify(readMod(await readFile(file, "utf8"), file))};`,
          map: null,
          moduleType: "js",
        };
      }
      try {
        const { kernel, dependencies } = await compileKernelFile(file, root);
        for (const path of dependencies) this.addWatchFile(join(root, path));
        const bindings = join(dirname(file), "bindings.ts");
        if (existsSync(bindings)) this.addWatchFile(bindings);
        return { code: building ? importing(kernel) : emitWhole(kernel), map: null, moduleType: "js" };
      } catch (error) {
        if (error instanceof KernelBuildError) {
          this.error({
            message: error.message,
            id: error.file,
            loc: { file: error.file, line: error.line, column: 0 },
          });
        }
        throw error;
      }
    },
    async buildEnd() {
      await closeTint();
    },
  };
}

/** The slot function of a `?mod` file. Imports stand there for editors; the kernel that takes the body has them already. */
function readMod(text: string, file: string): KernelMod {
  const match = /fn (\w+_mod)\([^{]*\{([\s\S]*)\}\s*$/.exec(text.replace(/\/\/[^\n]*/g, ""));
  if (!match) throw new KernelBuildError("a ?mod file ends with one function named *_mod", file, 1);
  return {
    slot: match[1]!,
    body: match[2]!
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean)
      .join("\n"),
  };
}

/** `bindings.ts` holds plain data without imports, so that the build can evaluate it by itself. */
async function declaredBindings(kernelFile: string): Promise<readonly string[] | undefined> {
  const file = join(dirname(kernelFile), "bindings.ts");
  if (!existsSync(file)) return undefined;
  const { code } = await transformWithOxc(await readFile(file, "utf8"), file);
  const module = (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as {
    BINDINGS?: Record<string, readonly string[]>;
  };
  const kernel = basename(kernelFile, ".wgsl");
  const declared = module.BINDINGS?.[kernel];
  if (!declared) throw new KernelBuildError(`BINDINGS has no entry "${kernel}"`, file, 1);
  return declared;
}
