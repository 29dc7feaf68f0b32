import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { type Conditions, type LinkedWesl, link } from "wesl";
import type { KernelModule, KernelVariant } from "../dispatch/kernel-module.js";
import { specialise } from "../dispatch/specialise.js";
import { KernelBuildError } from "./kernel-build-error.js";
import { declarations, declaredNames, liftConstants, locateSlots } from "./linked-text.js";
import { reflectBindings } from "./reflect.js";
import { tintErrors } from "./tint.js";

/** Conditions that stand for a WebGPU feature, and the directive that each needs. The others are layouts. */
const FEATURE_ENABLES: Readonly<Record<string, string>> = { f16: "f16", subgroups: "subgroups" };

export interface KernelSources {
  /** Folder that `package::` stands for in imports. */
  readonly root: string;
  /** WGSL text by path relative to `root`, `./softmax/tiled.wgsl`. */
  readonly files: Readonly<Record<string, string>>;
}

/** Reads every `.wgsl` file below `root`. */
export function readKernelSources(root: string): KernelSources {
  const files: Record<string, string> = {};
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith(".wgsl")) continue;
    const path = join(entry.parentPath, entry.name);
    files[`./${relative(root, path).split(sep).join("/")}`] = readFileSync(path, "utf8");
  }
  return { root, files };
}

/** Whether a file is a kernel rather than a part that kernels import. */
export function isKernel(text: string): boolean {
  return /^@compute\b/m.test(text);
}

/**
 * Links one kernel with its imports and builds every variant that its `@if` conditions ask for.
 *
 * @param path       the kernel's key in `sources.files`
 * @param bindings   binding names that the TypeScript side supplies; undefined when the folder declares none
 * @throws KernelBuildError with file and line on a WGSL error, a renamed (colliding) declaration,
 *   or a difference between the WGSL's bindings and `bindings`
 */
export async function compileKernel(
  sources: KernelSources,
  path: string,
  bindings?: readonly string[],
): Promise<{ kernel: KernelModule; dependencies: string[] }> {
  const reachable = reachableFiles(sources, path);
  const mentioned = [...new Set(reachable.flatMap((file) => conditionsIn(sources.files[file]!)))].sort();
  const conditions: string[] = [];
  for (const name of mentioned) if (await matters(name, mentioned, sources, path)) conditions.push(name);
  const variants: Record<string, KernelVariant> = {};
  for (const chosen of subsets(conditions)) {
    variants[chosen.join("+") || "base"] = await compileVariant(sources, path, reachable, chosen, bindings);
  }
  alignDeclarations(variants);
  await checkAligned(variants, join(sources.root, path));
  const name = path.replace(/^\.\//, "").replace(/\.wgsl$/, "");
  const hash = createHash("sha256").update(JSON.stringify(variants)).digest("hex").slice(0, 16);
  return { kernel: { name, conditions, hash, variants }, dependencies: reachable };
}

/**
 * Puts the declarations of all variants in one order, which WGSL leaves free, so that a variant is a selection of the kernel's
 * declarations and can be stored as such.
 */
function alignDeclarations(variants: Record<string, KernelVariant>): void {
  const order = [...new Set(Object.values(variants).flatMap(({ code }) => declarations(code)))];
  for (const [key, variant] of Object.entries(variants)) {
    const own = new Set(declarations(variant.code));
    variants[key] = { ...variant, code: order.filter((piece) => own.has(piece)).join("") };
  }
}

/** Tint once more, on what applications get: lifting constants and aligning declarations came after the first time. */
async function checkAligned(variants: Readonly<Record<string, KernelVariant>>, file: string): Promise<void> {
  for (const [key, variant] of Object.entries(variants)) {
    const [error] = await tintErrors([], specialise(variant));
    if (error) throw new KernelBuildError(`${error.message} [aligned text of variant ${key}]`, file, 1);
  }
}

/** Whether a condition changes the linked text at all: an import may mention it only in what this kernel leaves unused. */
async function matters(
  name: string,
  all: readonly string[],
  sources: KernelSources,
  path: string,
): Promise<boolean> {
  for (const chosen of subsets(all.filter((other) => other !== name))) {
    const texts = [chosen, [...chosen, name]].map(
      async (names) => (await linkVariant(sources, path, conditionsOf(names))).dest,
    );
    const [without, within] = await Promise.all(texts);
    if (without !== within) return true;
  }
  return false;
}

async function compileVariant(
  sources: KernelSources,
  path: string,
  reachable: readonly string[],
  chosen: readonly string[],
  bindings: readonly string[] | undefined,
): Promise<KernelVariant> {
  const linked = await linkVariant(sources, path, conditionsOf(chosen));
  const enables = chosen.flatMap((name) => FEATURE_ENABLES[name] ?? []);
  const text = linked.dest;

  const known = new Set(reachable.flatMap((file) => declaredNames(sources.files[file]!)));
  for (const name of declaredNames(text)) {
    if (known.has(name)) continue;
    const at = sourceOf(sources, linked, text.indexOf(` ${name}`) + 1);
    throw new KernelBuildError(
      `a declaration collides with another of the same name and would be renamed to "${name}"; give one of the two another name`,
      at.file,
      at.line,
    );
  }

  for (const error of await tintErrors(enables, text)) {
    const at = sourceOf(sources, linked, error.offset);
    throw new KernelBuildError(`${error.message} [variant ${chosen.join("+") || "base"}]`, at.file, at.line);
  }

  const reflected = reflectBindings(text);
  if (bindings) {
    for (const { name } of reflected.bindings) {
      if (bindings.includes(name)) continue;
      const at = sourceOf(sources, linked, text.search(new RegExp(`var<[^>]*> ${name}\\b`)));
      throw new KernelBuildError(
        `binding "${name}" is not among the names that bindings.ts declares (${bindings.join(", ")})`,
        at.file,
        at.line,
      );
    }
    for (const name of bindings) {
      if (reflected.bindings.some((binding) => binding.name === name)) continue;
      throw new KernelBuildError(
        `bindings.ts declares "${name}", which the kernel does not have`,
        join(sources.root, path),
        1,
      );
    }
  }

  const { code, constants } = liftConstants(compact(text));
  return { code, enables, ...reflected, constants, slots: locateSlots(code) };
}

async function linkVariant(
  sources: KernelSources,
  path: string,
  conditions: Conditions,
): Promise<LinkedWesl> {
  try {
    return await link({
      weslSrc: { ...sources.files },
      rootModuleName: path.replace(/^\.\//, "").replace(/\.wgsl$/, ""),
      conditions,
      keepComments: false,
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const place = /(\.\/[\w./-]+)\.wesl(?::(\d+))?/.exec(message);
    const file = place ? join(sources.root, `${place[1]}.wgsl`) : join(sources.root, path);
    const line = Number(place?.[2] ?? /Ln (\d+)/.exec(message)?.[1] ?? 1);
    throw new KernelBuildError(message.replaceAll(".wesl", ".wgsl"), file, line);
  }
}

function sourceOf(
  sources: KernelSources,
  linked: LinkedWesl,
  offset: number,
): { file: string; line: number } {
  const position = linked.sourceMap.destToSrc(Math.max(0, offset));
  const file = join(sources.root, (position.src.path ?? "").replace(/\.wesl$/, ".wgsl"));
  return { file, line: position.src.text.slice(0, position.position).split("\n").length };
}

/** Indentation and blank lines are a third of the text and say nothing to a compiler; line structure stays readable. */
function compact(text: string): string {
  return `${text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .join("\n")}\n`;
}

function conditionsIn(text: string): string[] {
  return [...stripComments(text).matchAll(/@(?:if|elif)\s*\(([^)]*)\)/g)].flatMap(
    (match) => match[1]!.match(/[a-z]\w*/gi) ?? [],
  );
}

function stripComments(text: string): string {
  return text.replace(/\/\/[^\n]*/g, "").replace(/\/\*[\s\S]*?\*\//g, "");
}

/** The kernel and, transitively, the files that its `import` statements name. */
export function reachableFiles(sources: KernelSources, path: string): string[] {
  const found = new Set<string>();
  const visit = (file: string): void => {
    if (found.has(file)) return;
    found.add(file);
    for (const match of stripComments(sources.files[file] ?? "").matchAll(/import\s+([\w:]+)/g)) {
      const segments = match[1]!.split("::").filter(Boolean);
      const first = segments.shift();
      const base = first === "super" ? dirname(file) : ".";
      for (let length = segments.length; length > 0; length--) {
        const candidate = `./${join(base, ...segments.slice(0, length))
          .split(sep)
          .join("/")}.wgsl`;
        if (candidate in sources.files) {
          visit(candidate);
          break;
        }
      }
    }
  };
  visit(path);
  return [...found];
}

function conditionsOf(names: readonly string[]): Conditions {
  return Object.fromEntries(names.map((name) => [name, true]));
}

function subsets(names: readonly string[]): string[][] {
  let sets: string[][] = [[]];
  for (const name of names) sets = sets.concat(sets.map((set) => [...set, name]));
  return sets;
}
