import { createHash } from "node:crypto";
import type { KernelModule, KernelVariant } from "../dispatch/kernel-module.js";
import { declarations } from "./linked-text.js";

/** A literal of the emitted code that other variants and other kernels may need too. */
export interface SharedLiteral {
  /** An identifier made from the text's hash. */
  readonly name: string;
  readonly literal: string;
}

/**
 * JavaScript that gives a `KernelModule`, as an expression over literals. Variants and kernels differ in a few declarations
 * only, so declarations, and the reflected parts, are literals of their own: the caller declares or imports each once.
 */
export function emitKernel(kernel: KernelModule): { literals: SharedLiteral[]; expression: string } {
  const literals = new Map<string, SharedLiteral>();
  const share = (value: unknown): string => {
    const literal = JSON.stringify(value);
    const name = `wgsl_${createHash("sha256").update(literal).digest("hex").slice(0, 16)}`;
    literals.set(name, { name, literal });
    return name;
  };
  const { name, conditions, hash } = kernel;
  const variants = Object.values(kernel.variants);
  const first = variants[0]!;
  const features = [...new Set(variants.flatMap(({ enables }) => enables))];
  checkOrder(kernel, features);
  // The variants that have something, as bits by their number; -1 for all of them.
  const holders = (has: (variant: KernelVariant, index: number) => boolean): number => {
    const bits = variants.reduce((sum, variant, index) => sum + (has(variant, index) ? 2 ** index : 0), 0);
    return bits === 2 ** variants.length - 1 ? -1 : bits;
  };
  // Not by searching the text: one variant's declaration may stand inside a function of another.
  const own = variants.map(({ code }) => new Set(declarations(code)));
  const pieces = [...new Set(own.flatMap((set) => [...set]))].map(
    (piece) => `[${share(piece)}, ${holders((_, index) => own[index]!.has(piece))}]`,
  );
  const parts = PARTS.map((part) => {
    const values = [...new Set(variants.map((variant) => JSON.stringify(variant[part])))];
    const choices = values.map(
      (value) =>
        `[${share(JSON.parse(value))}, ${holders((variant) => JSON.stringify(variant[part]) === value)}]`,
    );
    return `${part}: pick([${choices.join(", ")}])`;
  });
  const expression = `((conditions, features) => {
const variants = {};
for (let n = 0; n < 2 ** conditions.length; n++) {
const names = conditions.filter((_, place) => (n >> place) & 1);
const has = ([, holders]) => (holders >> n) & 1;
const pick = (choices) => choices.find(has)[0];
variants[names.join("+") || "base"] = { code: [${pieces.join(", ")}].filter(has).map(([piece]) => piece).join(""), enables: names.filter((name) => features.includes(name)), ${parts.join(", ")}, entryPoint: ${JSON.stringify(first.entryPoint)} };
}
return { name: ${JSON.stringify(name)}, conditions, hash: "${hash}", variants };
})(${JSON.stringify(conditions)}, ${JSON.stringify(features)})`;
  return { literals: [...literals.values()], expression };
}

const PARTS = [
  "bindings",
  "uniforms",
  "constants",
  "slots",
] as const satisfies readonly (keyof KernelVariant)[];

/** The emitted code counts on this: variant n has the conditions whose bits n has, and a feature is enabled by its own name. */
function checkOrder({ name, conditions, variants }: KernelModule, features: readonly string[]): void {
  Object.entries(variants).forEach(([key, { enables, entryPoint }], n) => {
    const names = conditions.filter((_, place) => (n >> place) & 1);
    const right =
      key === (names.join("+") || "base") &&
      entryPoint === variants.base!.entryPoint &&
      enables.join() === names.filter((condition) => features.includes(condition)).join();
    if (!right || conditions.length > 5)
      throw new Error(`${name}: variant ${n} is "${key}", in no known order`);
  });
}

/** One module that holds all literals itself: for development, where a module for each would be a request for each. */
export function emitWhole(kernel: KernelModule): string {
  const { literals, expression } = emitKernel(kernel);
  const constants = literals.map(({ name, literal }) => `const ${name} = ${literal};\n`);
  return `${constants.join("")}export default ${expression};\n`;
}
