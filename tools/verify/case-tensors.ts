import type { TensorLayout, TensorView } from "webgpu-attention";
import type { SafetensorsTensor } from "../../test/support/safetensors.js";
import type { CaseBuffers } from "./case-buffers.js";
import { numbersOf, referenceTensor, requireTensor, type VerifyCase } from "./verify-case.js";

/** Something to compute, and what it should be. */
export interface ExpectedOutput {
  readonly name: string;
  /** Where to compute it, laid out as the file has it. */
  readonly view: TensorView;
  /** In the view's logical order. */
  readonly expected: Float64Array;
}

/** A [B, H, N, D] tensor of the file on the GPU, seen as [B, N, H, D]. */
export function inputView(testCase: VerifyCase, buffers: CaseBuffers, name: string): TensorView {
  const tensor = requireTensor(testCase, name);
  return { buffer: buffers.upload(numbersOf(tensor)), ...heldByHeads(name, tensor) };
}

/** A reference output of the file with a buffer of NaN to be written; undefined where the file has none of that name. */
export function expectedOutput(
  name: string,
  testCase: VerifyCase,
  buffers: CaseBuffers,
  layoutOf: (name: string, tensor: SafetensorsTensor) => TensorLayout = heldByHeads,
): ExpectedOutput | undefined {
  const reference = referenceTensor(testCase, name);
  if (!reference) return undefined;
  const layout = layoutOf(name, reference);
  const values = numbersOf(reference);
  return {
    name,
    view: { buffer: buffers.nan(values.length), ...layout },
    expected: inLogicalOrder(values, layout),
  };
}

/** The files keep heads before tokens, [B, H, N, D] (and lse [B, H, N]): the same memory, seen as [B, N, H, D]. */
export function heldByHeads(name: string, { shape }: SafetensorsTensor): TensorLayout {
  const [batch, heads, tokens, dim] = shape.length === 3 ? [...shape, 1] : shape;
  if (batch === undefined || heads === undefined || tokens === undefined || dim === undefined) {
    throw new Error(`tensor "${name}" has shape [${shape}], expected [B, H, N, D]`);
  }
  return {
    dtype: "f32",
    shape: [batch, tokens, heads, dim],
    strides: [heads * tokens * dim, dim, tokens * dim, 1],
  };
}

function inLogicalOrder(values: ArrayLike<number>, { shape, strides }: TensorLayout): Float64Array {
  const [, tokens, heads, dim] = shape;
  const [sb, st, sh, sd] = strides ?? [tokens * heads * dim, heads * dim, dim, 1];
  const ordered = new Float64Array(values.length);
  let next = 0;
  for (let b = 0; b < shape[0]; b++)
    for (let t = 0; t < tokens; t++)
      for (let h = 0; h < heads; h++)
        for (let d = 0; d < dim; d++) ordered[next++] = values[b * sb + t * st + h * sh + d * sd]!;
  return ordered;
}
