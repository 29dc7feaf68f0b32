import { createHash } from "node:crypto";
import type { KernelModule } from "../dispatch/kernel-module.js";
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
  const entries = Object.entries(kernel.variants);
  const pieces = [...new Set(entries.flatMap(([, { code }]) => declarations(code)))];
  // A declaration with the set of variants that have it, as bits; without, when all have it.
  const everywhere = 2 ** entries.length - 1;
  const selections = pieces.map((piece) => {
    const bits = entries.reduce(
      (sum, [, { code }], index) => sum + (code.includes(piece) ? 2 ** index : 0),
      0,
    );
    return bits === everywhere ? share(piece) : `[${share(piece)}, ${bits}]`;
  });
  const variants = entries.map(
    ([key, { code: _code, bindings, uniforms, constants, slots, ...rest }], index) => {
      const shared = Object.entries({ bindings, uniforms, constants, slots }).map(
        ([name, value]) => `${name}: ${share(value)}`,
      );
      const own = Object.entries(rest).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
      return `${JSON.stringify(key)}: { code: select(${index}), ${[...shared, ...own].join(", ")} }`;
    },
  );
  const { name, conditions, hash } = kernel;
  const head = `name: ${JSON.stringify(name)}, conditions: ${JSON.stringify(conditions)}, hash: "${hash}"`;
  const expression = `((pieces) => {
const select = (variant) => pieces.map((piece) => (typeof piece === "string" ? piece : (piece[1] >> variant) & 1 ? piece[0] : "")).join("");
return { ${head}, variants: {\n${variants.join(",\n")}\n} };
})([${selections.join(", ")}])`;
  return { literals: [...literals.values()], expression };
}

/** One module that holds all literals itself: for development, where a module for each would be a request for each. */
export function emitWhole(kernel: KernelModule): string {
  const { literals, expression } = emitKernel(kernel);
  const constants = literals.map(({ name, literal }) => `const ${name} = ${literal};\n`);
  return `${constants.join("")}export default ${expression};\n`;
}
