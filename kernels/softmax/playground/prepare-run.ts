import type { AttentionContext } from "../../../src/dispatch/context.js";
import { type DType, elementCount, type Shape4, type TensorView } from "../../../src/dispatch/tensor-view.js";
import type { PreparedRun } from "../../_playground/mechanism.js";
import { drawNormals } from "../../_playground/normal-source.js";
import { pauses } from "../../_playground/pauses.js";
import { type DenseData, makeCaseInputs, rounded, type SoftmaxCaseInputs } from "../case-inputs.js";
import { shapesOf } from "../cases.js";
import { planSoftmaxAttention, type SoftmaxTensors } from "../index.js";
import type { Choice } from "./choices.js";
import { fusedWidth, inputLayouts, totalElements } from "./layouts.js";
import type { PlaygroundCase } from "./read-values.js";
import { verifyRun } from "./verify-run.js";
import { weightsPicture } from "./weights-picture.js";

/** Makes and uploads inputs, fills outputs with NaN, and compiles. */
export async function prepareSoftmax(
  ctx: AttentionContext,
  problem: PlaygroundCase,
  { configuration, text }: Choice,
  signal: AbortSignal,
): Promise<PreparedRun> {
  const pause = pauses(signal);
  const made = await makeInputs(problem, pause);
  const uploads = new Uploads(ctx, pause);
  try {
    const tensors: SoftmaxTensors = {
      ...(await uploadInputs(uploads, problem, made)),
      ...(made.bias && { bias: await uploads.add(made.bias.data, made.bias.shape) }),
      ...(await uploadOutputs(uploads, problem)),
    };
    const plan = await planSoftmaxAttention(ctx, { ...made.options, ...tensors }, { configuration });
    const inputs = { ...made, ...(await storedInputs(problem, made, pause)) };
    return {
      choice: text,
      passes: plan.passes,
      cost: plan.cost,
      segments: plan.segments.map((segment) => ({
        passes: segment.passes,
        record: (encoder, profiler) => segment.record(encoder, tensors, { ...(profiler && { profiler }) }),
      })),
      async verify(verifySignal) {
        const out = await ctx.read(tensors.out);
        const lse = tensors.lse && (await ctx.read(tensors.lse));
        return verifyRun(problem, inputs, { out, ...(lse && { lse }) }, verifySignal);
      },
      weights: (weightsSignal) => weightsPicture(inputs, weightsSignal),
      destroy() {
        plan.destroy();
        uploads.destroy();
      },
    };
  } catch (error) {
    uploads.destroy();
    throw error;
  }
}

type Pause = () => Promise<void>;

/** Tensors of one run, destroyed together. */
class Uploads {
  readonly #buffers = new Set<GPUBuffer>();

  constructor(
    readonly ctx: AttentionContext,
    readonly pause: Pause,
  ) {}

  async add(data: Float32Array, shape: Shape4, dtype: DType = "f32"): Promise<TensorView> {
    const view = this.ctx.fromArray(data, shape, dtype);
    this.#buffers.add(view.buffer);
    await this.pause();
    return view;
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}

async function makeInputs(problem: PlaygroundCase, pause: Pause): Promise<SoftmaxCaseInputs> {
  const { batches, heads, tokensK } = problem;
  // Tensors, sinks and the key mask; outputs are counted too, and not drawn.
  const drawn = await drawNormals(totalElements(problem) + heads + batches * tokensK, pause);
  let next = 0;
  return makeCaseInputs(problem, () => drawn[next++]!);
}

/** Inputs as their storage types hold them: what the reference is to be given. */
async function storedInputs(
  { dtype, kvDtype }: PlaygroundCase,
  { q, k, v }: SoftmaxCaseInputs,
  pause: Pause,
): Promise<Pick<SoftmaxCaseInputs, "q" | "k" | "v">> {
  const stored = { q: rounded(q, dtype), k: rounded(k, kvDtype) };
  await pause();
  return { ...stored, v: rounded(v, kvDtype) };
}

async function uploadOutputs(
  uploads: Uploads,
  problem: PlaygroundCase,
): Promise<Pick<SoftmaxTensors, "out" | "lse">> {
  const { batches, tokensQ, heads, dtype } = problem;
  const shape = shapesOf(problem).out;
  const lseShape: Shape4 = [batches, tokensQ, heads, 1];
  const nan = (of: Shape4) => new Float32Array(elementCount(of)).fill(Number.NaN);
  return {
    out: await uploads.add(nan(shape), shape, dtype),
    ...(problem.lse && { lse: await uploads.add(nan(lseShape), lseShape) }),
  };
}

async function uploadInputs(
  uploads: Uploads,
  problem: PlaygroundCase,
  made: SoftmaxCaseInputs,
): Promise<Record<"q" | "k" | "v", TensorView>> {
  const { q, k, v } = made;
  const { dtype, kvDtype, batches, tokensQ } = problem;
  if (!problem.fused) {
    return {
      q: await uploads.add(q.data, q.shape, dtype),
      k: await uploads.add(k.data, k.shape, kvDtype),
      v: await uploads.add(v.data, v.shape, kvDtype),
    };
  }
  const shape: Shape4 = [batches, tokensQ, 1, fusedWidth(problem)];
  const { buffer } = await uploads.add(interleaved([q, k, v], batches * tokensQ), shape, dtype);
  const layouts = inputLayouts(problem);
  return { q: { ...layouts.q, buffer }, k: { ...layouts.k, buffer }, v: { ...layouts.v, buffer } };
}

/** The parts of each token side by side. */
function interleaved(parts: readonly DenseData[], tokens: number): Float32Array {
  const fused = new Float32Array(parts.reduce((sum, { data }) => sum + data.length, 0));
  const width = fused.length / tokens;
  let offset = 0;
  for (const { data } of parts) {
    const size = data.length / tokens;
    for (let token = 0; token < tokens; token++) {
      fused.set(data.subarray(token * size, (token + 1) * size), token * width + offset);
    }
    offset += size;
  }
  return fused;
}
