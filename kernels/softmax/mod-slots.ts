import { isBuffer } from "../../src/dispatch/check.js";
import type { Table } from "../../src/dispatch/compiled-passes.js";
import type { SlotBinding, SlotBodies, SlotBody } from "../../src/dispatch/kernel-module.js";
import type { BindingSource } from "../../src/dispatch/pass.js";
import { userLines, userName } from "../../src/dispatch/user-code.js";
import type { MaskMod, ModBinding, ScoreMod } from "./mod-types.js";
import {
  bindingWords,
  checkSource,
  declaredFunctions,
  type Leaf,
  maskLeaves,
  withoutComments,
} from "./user-mod.js";

/** Mods as a kernel takes them: bodies for its slots, and what these read. */
export interface ModSlots {
  readonly slots: SlotBodies;
  readonly slotBindings: readonly SlotBinding[];
  /** Sources of the bindings, by name. */
  readonly bindings: Readonly<Record<string, BindingSource>>;
  /** Numbers that the plan uploads, by the name of their table. */
  readonly tables: Readonly<Record<string, Table>>;
}

const SIGNATURES = {
  score_mod: "(score: f32, b: u32, h: u32, i: u32, j: u32) -> f32",
  mask_mod: "(b: u32, h: u32, i: u32, j: u32) -> bool",
};

/**
 * Makes slot bodies of an application's mods. Each score mod, and each leaf of a mask, becomes a function of its own, with its lines
 * as they were written, so that a driver's complaint can be traced to them, and with names of its own (`user-code.ts`).
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "compile"
 */
export function modSlots({ scoreMod, maskMod }: { scoreMod?: ScoreMod; maskMod?: MaskMod }): ModSlots {
  const program = new UserProgram();
  const slots: Record<string, SlotBody[]> = {};
  if (scoreMod !== undefined) {
    checkSource(scoreMod, "scoreMod");
    const name = program.add({ source: scoreMod, path: "scoreMod" }, "score_mod");
    slots.score_mod = [{ declarations: program.take(), body: `return ${name}(score, b, h, i, j);` }];
  }
  if (maskMod !== undefined) {
    const { expression, leaves } = maskLeaves(maskMod, "maskMod");
    const names = leaves.map((leaf) => program.add(leaf, "mask_mod"));
    const body = `return ${expression((n) => `${names[n]}(b, h, i, j)`)};`;
    slots.mask_mod = [{ declarations: program.take(), body }];
  }
  return { slots, ...program.bound() };
}

/** Texts of the application's, numbered: what they declare has their number in its name. */
class UserProgram {
  readonly #bindings = new Map<string, { readonly own: string; readonly path: string } & ModBinding>();
  #declarations: string[] = [];
  #count = 0;

  /** @returns the function's name */
  add({ source, path }: Leaf, slot: keyof typeof SIGNATURES): string {
    const number = this.#count++;
    const { constants = {}, bindings = {}, functions = "" } = source;
    const names = new Map<string, string>();
    for (const own of [...Object.keys(constants), ...declaredFunctions(functions)])
      names.set(own, userName(own, number));
    for (const [own, binding] of Object.entries(bindings))
      names.set(own, this.#bind(own, binding, path, number));

    const values = Object.entries(constants).map(
      ([own, value]) => `const ${names.get(own)} = ${literal(value)};`,
    );
    if (values.length > 0) this.#declarations.push(userLines(`${path}.constants`, values.join("\n")));
    if (functions !== "") this.#declarations.push(userLines(`${path}.functions`, renamed(functions, names)));
    const name = userName(slot, number);
    const body = userLines(`${path}.wgsl`, renamed(source.wgsl, names), "}\n");
    this.#declarations.push(`fn ${name}${SIGNATURES[slot]} {\n${body}`);
    return name;
  }

  /** What was added since the last time. */
  take(): string {
    const text = this.#declarations.join("");
    this.#declarations = [];
    return text;
  }

  bound(): Omit<ModSlots, "slots"> {
    const entries = [...this.#bindings];
    return {
      slotBindings: entries.map(([name, { type, path }]) => ({ name, type, path })),
      bindings: Object.fromEntries(
        entries.map(([name, { data }]) => [name, isBuffer(data) ? { buffer: data } : { table: name }]),
      ),
      tables: Object.fromEntries(
        entries.flatMap(([name, { type, data }]) =>
          isBuffer(data) ? [] : [[name, { values: bindingWords(type, data) }]],
        ),
      ),
    };
  }

  /** One binding for what several texts call and type alike. */
  #bind(own: string, binding: ModBinding, path: string, number: number): string {
    for (const [name, known] of this.#bindings)
      if (known.own === own && known.data === binding.data && known.type === binding.type) return name;
    const name = userName(own, number);
    this.#bindings.set(name, { ...binding, own, path: `${path}.bindings.${own}` });
    return name;
  }
}

/** Whole numbers that f64 holds are integers of any type; others are floats. */
function literal(value: number | boolean): string {
  if (typeof value === "boolean" || Number.isSafeInteger(value)) return `(${value})`;
  return `(${value.toExponential()})`;
}

function renamed(text: string, names: ReadonlyMap<string, string>): string {
  return withoutComments(text).replace(/(?<![.\w])[A-Za-z]\w*/g, (name) => names.get(name) ?? name);
}
