import type { KernelConstant, KernelSlot } from "../dispatch/kernel-module.js";

/** A const with an explicit type and a literal value is a specialisation constant; any other const is not. */
const CONSTANT = /^const (\w+)\s*:\s*(u32|i32|f32|bool)\s*=\s*(true|false|-?[\d.]+(?:e[+-]?\d+)?)[uif]?;\n/gm;

/** Slots are functions named `*_mod`: their bodies may be replaced at run time. */
const SLOT = /^(fn \w+_mod\([^{]*?)\s*\{/gm;

/** Names of all top-level declarations of a WGSL text, sources and linked text alike. */
export function declaredNames(text: string): string[] {
  const declaration =
    /^(?:@[\w]+(?:\([^)]*\))?\s*)*(?:(?:fn|struct|alias|const|override)\s+|var(?:<[^>]*>)?\s+)(\w+)/gm;
  return [...text.matchAll(declaration)].map((match) => match[1]!);
}

/** Takes the specialisation constants out of the text; `specialise` puts them back with the problem's values. */
export function liftConstants(text: string): { code: string; constants: Record<string, KernelConstant> } {
  const constants: Record<string, KernelConstant> = {};
  const code = text.replace(CONSTANT, (_all, name: string, type: KernelConstant["type"], value: string) => {
    constants[name] = { type, default: type === "bool" ? value === "true" : Number(value) };
    return "";
  });
  return { code, constants };
}

/** Finds the slot functions. Their default bodies hold no braces or strings that could hide one. */
export function locateSlots(code: string): Record<string, KernelSlot> {
  const slots: Record<string, KernelSlot> = {};
  for (const match of code.matchAll(SLOT)) {
    let depth = 1;
    let end = match.index + match[0].length;
    while (depth > 0 && end < code.length) {
      if (code[end] === "{") depth++;
      if (code[end] === "}") depth--;
      end++;
    }
    const name = /fn (\w+)/.exec(match[1]!)![1]!;
    slots[name] = { start: match.index, end, signature: match[1]!.trim() };
  }
  return slots;
}
