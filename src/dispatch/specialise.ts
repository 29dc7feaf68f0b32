import type { ConstantValues, KernelModule, KernelVariant, SlotBodies } from "./kernel-module.js";
import { closingBrace, unrollLoops } from "./unroll.js";

/** The variant of a kernel in which exactly these conditions hold; conditions the kernel does not know are ignored. */
export function variantKey(kernel: KernelModule, conditions: readonly string[]): string {
  return kernel.conditions.filter((name) => conditions.includes(name)).join("+") || "base";
}

/** Those of the values that are constants of this kernel: the linker drops those of shared files that it has no use for. */
export function knownConstants(kernel: KernelModule, values: ConstantValues): ConstantValues {
  const { constants } = kernel.variants.base!;
  return Object.fromEntries(Object.entries(values).filter(([name]) => name in constants));
}

/**
 * The final WGSL of a variant: `enable` lines, constants with the given values (or their defaults), slot functions with the
 * given bodies, and the loops over the given bounds unrolled.
 *
 * Unknown names are a programming error of a plan, not of a user, hence a plain `Error`.
 */
export function specialise(
  variant: KernelVariant,
  constants: ConstantValues = {},
  slots: SlotBodies = {},
  unroll: Readonly<Record<string, number>> = {},
): string {
  for (const name of Object.keys(constants)) {
    if (!(name in variant.constants)) throw new Error(`kernel has no constant ${name}`);
  }
  for (const name of Object.keys(slots)) {
    if (!(name in variant.slots)) throw new Error(`kernel has no slot ${name}`);
  }
  const enables = variant.enables.map((name) => `enable ${name};\n`);
  const declarations = Object.entries(variant.constants).map(
    ([name, constant]) =>
      `const ${name}: ${constant.type} = ${literal(constant.type, constants[name] ?? constant.default)};\n`,
  );
  return enables.join("") + declarations.join("") + unrollLoops(withSlots(variant, slots), unroll);
}

function withSlots(variant: KernelVariant, bodies: SlotBodies): string {
  let code = variant.code;
  for (const [name, signature] of Object.entries(variant.slots)) {
    if (!(name in bodies)) continue;
    const start = code.indexOf(`${signature} {`);
    const end = closingBrace(code, start + signature.length + 2) + 1;
    code = `${code.slice(0, start)}${chain(name, signature, bodies[name]!)}${code.slice(end)}`;
  }
  return code;
}

/** One function a body, and the slot itself that calls them in turn. */
function chain(name: string, signature: string, bodies: readonly string[]): string {
  const numbered = (index: number) => `${name}_${index + 1}`;
  const functions = bodies.map(
    (body, index) => `${signature.replace(name, numbered(index))} {\n${body}\n}\n`,
  );
  const parameters = [...signature.matchAll(/(\w+)\s*:/g)].map((match) => match[1]!);
  const [first, ...rest] = parameters;
  const call = /->\s*bool/.test(signature)
    ? bodies.map((_, index) => `${numbered(index)}(${parameters.join(", ")})`).join(" && ")
    : bodies.reduce((inner, _, index) => `${numbered(index)}(${[inner, ...rest].join(", ")})`, first!);
  return `${functions.join("")}${signature} {\nreturn ${call};\n}`;
}

function literal(type: "u32" | "i32" | "f32" | "bool", value: number | boolean): string {
  if (type === "bool") return String(Boolean(value));
  if (type === "u32") return `${value}u`;
  if (type === "i32") return `${value}i`;
  return `f32(${value})`;
}
