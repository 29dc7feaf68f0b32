import type {
  ConstantValues,
  KernelBinding,
  KernelModule,
  KernelVariant,
  SlotBinding,
  SlotBodies,
} from "./kernel-module.js";
import { closingBrace, unrollLoops } from "./unroll.js";
import { userLines } from "./user-code.js";

/** The variant of a kernel in which exactly these conditions hold; conditions the kernel does not know are ignored. */
export function variantKey(kernel: KernelModule, conditions: readonly string[]): string {
  return kernel.conditions.filter((name) => conditions.includes(name)).join("+") || "base";
}

/** Those of the values that are constants of this kernel: the linker drops those of shared files that it has no use for. */
export function knownConstants(kernel: KernelModule, values: ConstantValues): ConstantValues {
  const { constants } = kernel.variants.base!;
  return Object.fromEntries(Object.entries(values).filter(([name]) => name in constants));
}

/** What makes one program of a variant. */
export interface Specialisation {
  readonly constants?: ConstantValues;
  readonly slots?: SlotBodies;
  /** What the bodies of slots read. */
  readonly slotBindings?: readonly SlotBinding[];
  /** Loop bounds to unroll, by constant name, with their values. */
  readonly unroll?: Readonly<Record<string, number>>;
  /** Storage bindings that this problem never reads nor writes: they take no place among those that the device allows. */
  readonly unused?: readonly string[];
}

/** Kernels' own bindings have lower numbers. */
const FIRST_SLOT_BINDING = 64;

/**
 * The final WGSL of a variant: `enable` lines, constants with the given values (or their defaults), slot functions with the
 * given bodies, and the loops over the given bounds unrolled.
 *
 * Unknown names are a programming error of a plan, not of a user, hence a plain `Error`.
 */
export function specialise(variant: KernelVariant, given: Specialisation = {}): string {
  const { constants = {}, slots = {}, slotBindings = [], unroll = {}, unused = [] } = given;
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
  const bound = slotBindings.map(({ name, type, path }, index) =>
    userLines(path, `@group(0) @binding(${FIRST_SLOT_BINDING + index}) var<storage, read> ${name}: ${type};`),
  );
  // Unrolled before the slots are filled: loops of the application's are its own.
  const code = withSlots(unrollLoops(withoutUnused(variant.code, unused), unroll), variant.slots, slots);
  return [...enables, ...declarations, ...bound, code].join("");
}

/** All that a pipeline binds: what the problem uses of the kernel's own, then what the bodies of slots read. */
export function boundBy(
  { bindings }: KernelVariant,
  { slotBindings = [], unused = [] }: Specialisation,
): KernelBinding[] {
  const added = slotBindings.map(({ name }, index) => ({
    name,
    group: 0,
    binding: FIRST_SLOT_BINDING + index,
    type: "read-only-storage" as const,
  }));
  return [...bindings.filter(({ name }) => !unused.includes(name)), ...added];
}

/**
 * Makes constants of bindings that are not read, and private variables of those that are not written. The code that mentions
 * them is dead, but a shader that mentions a binding has to have it bound, and a device binds eight storage buffers only. Not
 * private variables for both: what depends on those is not uniform.
 */
function withoutUnused(code: string, names: readonly string[]): string {
  return names.reduce((text, name) => {
    const declaration = new RegExp(
      `@group\\(\\d+\\) *@binding\\(\\d+\\) *var<storage, *(\\w+)> ${name} ?: ?array<([^;]*)>;`,
    );
    const [whole, access, type] = declaration.exec(text) ?? [];
    if (!whole) throw new Error(`kernel has no storage array ${name} to leave out`);
    const array = `array<${type}, 1>`;
    const instead = access === "read" ? `const ${name} = ${array}();` : `var<private> ${name}: ${array};`;
    return text.replace(whole, instead);
  }, code);
}

function withSlots(text: string, signatures: KernelVariant["slots"], bodies: SlotBodies): string {
  let code = text;
  for (const [name, signature] of Object.entries(signatures)) {
    if (!(name in bodies)) continue;
    const start = code.indexOf(`${signature} {`);
    const end = closingBrace(code, start + signature.length + 2) + 1;
    code = `${code.slice(0, start)}${chain(name, signature, bodies[name]!)}${code.slice(end)}`;
  }
  return code;
}

/** One function a body, and the slot itself that calls them in turn. */
function chain(name: string, signature: string, bodies: SlotBodies[string]): string {
  const numbered = (index: number) => `${name}_${index + 1}`;
  const functions = bodies.map((given, index) => {
    const { body, declarations = "" } = typeof given === "string" ? { body: given } : given;
    return `${declarations}${signature.replace(name, numbered(index))} {\n${body}\n}\n`;
  });
  const parameters = [...signature.matchAll(/(\w+)\s*:/g)].map((match) => match[1]!);
  const [first, ...rest] = parameters;
  const call = /->\s*bool/.test(signature)
    ? bodies.map((_, index) => `${numbered(index)}(${parameters.join(", ")})`).join(" & ")
    : bodies.reduce<string>(
        (inner, _, index) => `${numbered(index)}(${[inner, ...rest].join(", ")})`,
        first!,
      );
  return `${functions.join("")}${signature} {\nreturn ${call};\n}`;
}

function literal(type: "u32" | "i32" | "f32" | "bool", value: number | boolean): string {
  if (type === "bool") return String(Boolean(value));
  if (type === "u32") return `${value}u`;
  if (type === "i32") return `${value}i`;
  return `f32(${value})`;
}
