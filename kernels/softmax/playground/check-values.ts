import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { AttentionError } from "../../../src/dispatch/errors.js";
import { checkProblem, type SoftmaxProblem, type SoftmaxShape } from "../problem.js";
import { softmaxTables } from "../tables.js";
import { biasShape, inputLayouts, totalElements } from "./layouts.js";
import type { PlaygroundCase } from "./read-values.js";

/** Numbers that a page makes up and uploads without keeping its user waiting. */
const MAX_ELEMENTS = 2 ** 25;

/** The library's own check of the problem, before any data is made. @throws AttentionError */
export function checkCase(problem: PlaygroundCase, capabilities: Capabilities): SoftmaxShape {
  const { keyStarts, keyLengths } = problem.options;
  checkFused(problem);
  const shape = checkProblem(layoutOf(problem), capabilities);
  softmaxTables(shape, { keyStarts, keyLengths });
  checkSize(problem);
  return shape;
}

/** The problem without data: options that have some are there, and empty. Their lengths follow from the shape. */
export function layoutOf(problem: PlaygroundCase): SoftmaxProblem {
  const { alibiSlopes, sinkLogits, keyMask, bias: _axes, ...plain } = problem.options;
  const bias = biasShape(problem);
  return {
    ...plain,
    ...inputLayouts(problem),
    lse: problem.lse,
    ...(alibiSlopes && { alibiSlopes: [] }),
    ...(sinkLogits && { sinkLogits: [] }),
    ...(keyMask && { keyMask: [] }),
    ...(bias && { bias: { dtype: "f32", shape: bias } }),
  };
}

function checkFused({ fused, tokensQ, tokensK, dtype, kvDtype }: PlaygroundCase): void {
  if (!fused) return;
  if (tokensQ !== tokensK) {
    throw new AttentionError("shape", {
      subject: "k.shape[1] (tokens)",
      expected: `${tokensQ}, the tokens of q, in a fused qkv buffer`,
      got: String(tokensK),
      fix: "A token's q, k and v lie side by side: give as many keys as queries, or buffers of their own.",
    });
  }
  if (dtype !== kvDtype) {
    throw new AttentionError("dtype", {
      subject: "k.dtype",
      expected: `"${dtype}", the type of q, in a fused qkv buffer`,
      got: `"${kvDtype}"`,
      fix: "Store q, k and v alike, or give them buffers of their own.",
    });
  }
}

function checkSize(problem: PlaygroundCase): void {
  const elements = totalElements(problem);
  if (elements <= MAX_ELEMENTS) return;
  throw new AttentionError("limit", {
    subject: "inputs and outputs of a run on this page",
    expected: `at most ${MAX_ELEMENTS} numbers`,
    got: String(elements),
    fix: "Take fewer tokens, heads or batch entries; the library itself has no such limit.",
  });
}

const SHAPE_FIELDS: Readonly<Record<string, string>> = {
  "q.shape[0]": "batches",
  "q.shape[1]": "tokensQ",
  "q.shape[2]": "heads",
  "q.shape[3]": "headDim",
  "k.shape[0]": "batches",
  "k.shape[1]": "tokensK",
  "k.shape[2]": "kvHeads",
  "k.shape[3]": "headDim",
  "v.shape[1]": "tokensK",
  "v.shape[2]": "kvHeads",
  "v.shape[3]": "valueDim",
  "k.dtype": "kvDtype",
  "v.dtype": "kvDtype",
  "q.dtype": "dtype",
};

/** The field that an error's subject is about: `"k.shape[2] (heads)"` is "kvHeads", `"keyLengths[1]"` is "keyLengths". */
export function fieldOfSubject(subject: string): string | undefined {
  const path = subject.split(" ")[0]!;
  return SHAPE_FIELDS[path] ?? path.replace(/\[\d+\]$/, "");
}
