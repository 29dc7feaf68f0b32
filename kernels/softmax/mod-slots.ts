import { isBuffer } from "../../src/dispatch/check.js";
import type { Table } from "../../src/dispatch/compiled-passes.js";
import type { SlotBinding, SlotBodies, SlotBody } from "../../src/dispatch/kernel-module.js";
import type { BindingSource } from "../../src/dispatch/pass.js";
import { userLines } from "../../src/dispatch/user-code.js";
import type { MaskMod, ModBinding, ScoreMod } from "./mod-types.js";
import { bindingWords, checkSource, type Leaf, maskLeaves, withoutComments } from "./user-mod.js";

/** Mods as a kernel takes them: bodies for its slots, and what these read. */
export interface ModSlots {
  readonly slots: SlotBodies;
  readonly slotBindings: readonly SlotBinding[];
  /** Sources of the bindings, by name. */
  readonly bindings: Readonly<Record<string, BindingSource>>;
  /** Numbers that the plan uploads, by the name of their table. */
  readonly tables: Readonly<Record<string, Table>>;
}

const PARAMETERS = {
  score_mod: "score: f32, b: u32, h: u32, i: u32, j: u32",
  mask_mod: "b: u32, h: u32, i: u32, j: u32",
};

/**
 * Makes slot bodies of an application's mods. A leaf becomes a function of its own, with its lines as they were written, so that
 * a driver's complaint can be traced to them (`src/dispatch/user-code.ts`).
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "compile"
 */
export function modSlots({ scoreMod, maskMod }: { scoreMod?: ScoreMod; maskMod?: MaskMod }): ModSlots {
  const names = new BindingNames();
  const slots: Record<string, SlotBody[]> = {};
  if (scoreMod !== undefined) {
    checkSource(scoreMod, "scoreMod");
    const leaf = { source: scoreMod, path: "scoreMod" };
    slots.score_mod = [
      {
        declarations: names.declare(leaf, "user_score", "score_mod"),
        body: "return user_score(score, b, h, i, j);",
      },
    ];
  }
  if (maskMod !== undefined) {
    const { expression, leaves } = maskLeaves(maskMod, "maskMod");
    const declarations = leaves.map((leaf, n) => names.declare(leaf, `user_mask_${n}`, "mask_mod")).join("");
    slots.mask_mod = [{ declarations, body: `return ${expression((n) => `user_mask_${n}(b, h, i, j)`)};` }];
  }
  return { slots, ...names.bound() };
}

/** Gives every binding one name for all mods; a name that two mods use for different data gets a number in the second. */
class BindingNames {
  readonly #bindings = new Map<string, ModBinding>();
  readonly #functions = new Set<string>();

  declare({ source, path }: Leaf, name: string, slot: keyof typeof PARAMETERS): string {
    const renamed: Record<string, string> = {};
    for (const [own, binding] of Object.entries(source.bindings ?? {})) {
      const global = this.#place(own, binding);
      if (global !== own) renamed[own] = global;
    }
    const constants = Object.entries(source.constants ?? {}).map(
      ([constant, value]) =>
        `const ${constant} = ${typeof value === "number" && value < 0 ? `(${value})` : value};`,
    );
    const functions =
      source.functions === undefined || this.#functions.has(source.functions) ? "" : source.functions;
    this.#functions.add(functions);
    const result = slot === "mask_mod" ? "bool" : "f32";
    return [
      functions === "" ? "" : lines(`${path}.functions`, functions, renamed),
      `fn ${name}(${PARAMETERS[slot]}) -> ${result} { ${constants.join(" ")}\n`,
      lines(`${path}.wgsl`, source.wgsl, renamed),
      "}\n",
    ].join("");
  }

  bound(): Omit<ModSlots, "slots"> {
    const entries = [...this.#bindings];
    return {
      slotBindings: entries.map(([name, { type }]) => ({ name, type })),
      bindings: Object.fromEntries(
        entries.map(([name, { data }]) => [
          name,
          isBuffer(data) ? { buffer: data } : { table: `mod.${name}` },
        ]),
      ),
      tables: Object.fromEntries(
        entries.flatMap(([name, { type, data }]) =>
          isBuffer(data) ? [] : [[`mod.${name}`, { values: bindingWords(type, data) }]],
        ),
      ),
    };
  }

  #place(name: string, binding: ModBinding): string {
    for (let n = 1; ; n++) {
      const candidate = n === 1 ? name : `${name}_${n}`;
      const known = this.#bindings.get(candidate);
      if (!known) this.#bindings.set(candidate, binding);
      if (!known || (known.data === binding.data && known.type === binding.type)) return candidate;
    }
  }
}

function lines(path: string, text: string, renamed: Readonly<Record<string, string>>): string {
  const own = Object.entries(renamed).reduce(
    (result, [from, to]) => result.replace(new RegExp(`(?<![.\\w])${from}\\b`, "g"), to),
    withoutComments(text),
  );
  return userLines(path, own);
}
