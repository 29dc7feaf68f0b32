import { checkUsage, fail, isBuffer } from "../../src/dispatch/check.js";
import { checkOptions } from "../../src/dispatch/validate.js";
import type { MaskFunction, MaskMod, ModSource } from "./mod-types.js";

/** WGSL of a mask as one expression over its leaves, and the leaves. */
export function maskLeaves(
  mask: MaskMod,
  path: string,
): { readonly expression: (call: (leaf: number) => string) => string; readonly leaves: readonly Leaf[] } {
  const leaves: Leaf[] = [];
  const visit = (node: MaskMod, at: string, depth: number): ((call: (leaf: number) => string) => string) => {
    if (typeof node !== "object" || node === null || depth > MOST_NESTED)
      fail(
        "shape",
        at,
        `{ wgsl } or masks joined by andMasks, orMasks, notMask, nested ${MOST_NESTED} deep at most`,
        node,
        "See MaskMod.",
      );
    for (const [kind, sign] of [
      ["and", "&"],
      ["or", "|"],
    ] as const) {
      if (!(kind in node)) continue;
      checkOptions(at, node, [kind]);
      const parts = (node as Record<typeof kind, readonly MaskMod[]>)[kind];
      if (!Array.isArray(parts) || parts.length === 0)
        fail(
          "shape",
          `${at}.${kind}`,
          "masks, one at least",
          parts,
          "Leave the mask out where there is none.",
        );
      const inner = parts.map((part, n) => visit(part, `${at}.${kind}[${n}]`, depth + 1));
      return (call) => `(${inner.map((part) => part(call)).join(` ${sign} `)})`;
    }
    if ("not" in node) {
      checkOptions(at, node, ["not"]);
      const inner = visit(node.not, `${at}.not`, depth + 1);
      return (call) => `!${inner(call)}`;
    }
    const source = node as MaskFunction;
    checkSource(source, at);
    const index = leaves.push({ source, path: at }) - 1;
    return (call) => call(index);
  };
  return { expression: visit(mask, path, 0), leaves };
}

/** As deep as `and` in `or` in `not` may go. */
const MOST_NESTED = 16;

export interface Leaf {
  readonly source: ModSource;
  /** In the caller's words: `maskMod.and[1]`. */
  readonly path: string;
}

/** @throws AttentionError "shape", "unsupported" or "compile" for what cannot be a mod, before a driver sees it */
export function checkSource(source: ModSource, path: string): void {
  if (typeof source !== "object" || source === null || typeof source.wgsl !== "string")
    fail("shape", path, "{ wgsl: body of the function, ... }", source, "See ScoreMod and MaskMod.");
  checkOptions(path, source, ["wgsl", "constants", "bindings", "functions"]);
  checkBraces(source.wgsl, `${path}.wgsl`);
  if (source.functions !== undefined) {
    if (typeof source.functions !== "string")
      fail(
        "shape",
        `${path}.functions`,
        "WGSL functions",
        source.functions,
        "Leave it out where there are none.",
      );
    checkBraces(source.functions, `${path}.functions`);
    for (const name of declaredFunctions(source.functions)) checkName(name, `${path}.functions`);
  }
  for (const [name, value] of Object.entries(source.constants ?? {})) {
    checkName(name, `${path}.constants`);
    if (typeof value !== "boolean" && !(typeof value === "number" && Number.isFinite(value)))
      fail(
        "shape",
        `${path}.constants.${name}`,
        "a finite number or a boolean",
        value,
        "Put data into bindings.",
      );
  }
  for (const [name, binding] of Object.entries(source.bindings ?? {})) {
    checkName(name, `${path}.bindings`);
    if (typeof binding !== "object" || binding === null)
      fail(
        "shape",
        `${path}.bindings.${name}`,
        "{ type, data }",
        binding,
        "Give its WGSL type and its data.",
      );
    checkOptions(`${path}.bindings.${name}`, binding, ["type", "data"]);
    checkBinding(`${path}.bindings.${name}`, binding.type, binding.data);
  }
}

const ELEMENT = /^array<\s*(?:(f32|u32|i32)|vec([234])(?:<(f32|u32|i32)>|([fui])))\s*>$/;

function checkBinding(subject: string, type: unknown, data: unknown): void {
  if (isBuffer(data)) {
    if (typeof type !== "string" || !/^array<[\w<>, ]+>$/.test(type))
      fail(
        "dtype",
        `${subject}.type`,
        'a WGSL array type, "array<f32>"',
        type,
        "Name the type of its elements.",
      );
    checkUsage(`${subject} buffer usage`, data, "STORAGE");
    if (data.size < elementBytes(type))
      fail(
        "shape",
        `${subject} buffer`,
        `at least one element of ${type}`,
        `${data.size} bytes`,
        "Make the buffer larger.",
      );
    return;
  }
  if (!ELEMENT.test(String(type)))
    fail(
      "dtype",
      `${subject}.type`,
      "an array of f32, u32, i32 or vectors of them, where data are numbers",
      type,
      "Upload other data into a GPUBuffer.",
    );
  if (typeof data !== "object" || data === null || !((data as ArrayLike<number>).length > 0))
    fail(
      "shape",
      `${subject}.data`,
      "a GPUBuffer, or numbers, one at least",
      data,
      "Leave the binding out where there is none.",
    );
}

/** Of the element types that are known here; others are the driver's to refuse. */
function elementBytes(type: string): number {
  const [, , size = "1"] = ELEMENT.exec(type) ?? [];
  return 4 * (size === "3" ? 4 : Number(size));
}

/** Numbers as the words of a binding of this type. A vec3 takes four words, as WGSL lays it out. */
export function bindingWords(type: string, data: ArrayLike<number>): Uint32Array<ArrayBuffer> {
  const [, scalar, size = "1", of, short] = ELEMENT.exec(type)!;
  const element = scalar ?? of ?? { f: "f32", u: "u32", i: "i32" }[short!]!;
  const [width, stride] = [Number(size), size === "3" ? 4 : Number(size)];
  const count = Math.ceil(data.length / width);
  const bytes = new ArrayBuffer(4 * stride * count);
  const values = { f32: Float32Array, u32: Uint32Array, i32: Int32Array }[element as "f32" | "u32" | "i32"];
  const words = new values(bytes);
  for (let n = 0; n < data.length; n++) words[Math.floor(n / width) * stride + (n % width)] = data[n]!;
  return new Uint32Array(bytes);
}

const TAKEN = new Set(["score", "b", "h", "i", "j", "query_position", "first_key"]);

function checkName(name: string, at: string): void {
  if (!/^[a-z]\w*$/i.test(name) || TAKEN.has(name))
    fail(
      "unsupported",
      `${at} name`,
      "a WGSL identifier that is none of the function's own names",
      `"${name}"`,
      "Choose another name.",
    );
}

/** A body that closes its function early would open another one. */
function checkBraces(text: string, path: string): void {
  let depth = 0;
  for (const brace of withoutComments(text).match(/[{}]/g) ?? []) {
    depth += brace === "{" ? 1 : -1;
    if (depth < 0) break;
  }
  if (depth !== 0)
    fail(
      "compile",
      path,
      "as many { as }",
      depth > 0 ? "a { that is not closed" : "a } too many",
      "Give the body alone, without its function.",
    );
}

/** Names that a text declares for all of a program. */
export function declaredFunctions(text: string): string[] {
  return [...withoutComments(text).matchAll(/\b(?:fn|const|struct|alias|var\s*<\s*\w+\s*>)\s+(\w+)/g)].map(
    (match) => match[1]!,
  );
}

/** Comments become spaces, so that lines and columns stay what they were. Block comments nest. */
export function withoutComments(text: string): string {
  let depth = 0;
  let inLine = false;
  return text.replace(/\/\*|\*\/|\/\/|\r\n|[\n\v\f\r\u0085\u2028\u2029]|[\s\S]/g, (part) => {
    if (/^[\n\v\f\r\u0085\u2028\u2029]/.test(part)) {
      inLine = false;
      return "\n";
    }
    if (!inLine && part === "/*") depth++;
    if (!inLine && depth === 0 && part === "//") inLine = true;
    const hidden = inLine || depth > 0;
    if (!inLine && part === "*/" && depth > 0) depth--;
    return hidden ? " ".repeat(part.length) : part;
  });
}
