import { tintErrors } from "../../src/build/tint.js";
import type { Verdict, WgslCompiler } from "./verdict.js";

/** Tint, the compiler of Chrome and Edge, without a GPU. */
export const tint: WgslCompiler = async (texts) => {
  // The build goes on where Tint cannot be loaded; a check must not pass because of that.
  if ((await tintErrors([], "not WGSL")).length === 0) {
    throw new Error('Tint did not start; npm package "webgpu" is missing or has no binary for this platform');
  }
  const verdicts: Verdict[] = [];
  for (const { code } of texts) {
    const [first] = await tintErrors([], code);
    verdicts.push(first ? { status: "failed", message: describe(code, first) } : { status: "passed" });
  }
  return verdicts;
};

function describe(code: string, { offset, message }: { offset: number; message: string }): string {
  const line = code.slice(0, offset).split("\n").length;
  return `line ${line} of the linked text: ${message}\n    ${code.split("\n")[line - 1]}`;
}
