import type { KernelConstant } from "../dispatch/kernel-module.js";

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

/** Signatures of the slot functions. */
export function locateSlots(code: string): Record<string, string> {
  const signatures = [...code.matchAll(SLOT)].map((match) => match[1]!.trim());
  return Object.fromEntries(signatures.map((signature) => [/fn (\w+)/.exec(signature)![1]!, signature]));
}

/**
 * Cuts a compacted text without comments at the ends of its top-level declarations: the lines that end in `;` or `}` outside of
 * all brackets. Signatures, attributes and initialisers may take as many lines as they like.
 */
export function declarations(code: string): string[] {
  const pieces: string[] = [];
  let depth = 0;
  let piece = "";
  for (const line of code.split(/(?<=\n)/)) {
    piece += line;
    depth += (line.match(/[{([]/g)?.length ?? 0) - (line.match(/[})\]]/g)?.length ?? 0);
    if (depth === 0 && /[;}]\s*$/.test(line)) {
      pieces.push(piece);
      piece = "";
    }
  }
  return piece ? [...pieces, piece] : pieces;
}
