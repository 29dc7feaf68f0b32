import { CompiledPasses } from "../../src/dispatch/compiled-passes.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { float16ToNumber, numberToFloat16 } from "../../src/dispatch/float16.js";
import { bindTensors } from "../../src/dispatch/tensor-set.js";
import { elementCount, extentOf, type TensorView } from "../../src/dispatch/tensor-view.js";
import type { PreparedCandidate } from "../../src/dispatch/tuning/measure-candidates.js";
import { timeOnGpu } from "../../src/dispatch/tuning/time-on-gpu.js";
import { type DenseData, makeCaseInputs, type SoftmaxCaseInputs } from "./case-inputs.js";
import { TOLERANCE_F16, TOLERANCE_F32 } from "./cases.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import { dispatchBudget } from "./effort.js";
import { planSoftmax } from "./plan.js";
import { checkProblem, type SoftmaxShape } from "./problem.js";
import { proxyCase, proxyFlops, proxyStrides } from "./proxy.js";
import { softmaxAttentionReference } from "./reference.js";
import { rowInputs, spreadRows } from "./sampled-rows.js";
import type { Sizes } from "./sizes.js";
import { softmaxTables } from "./tables.js";

/** Query rows of the proxy that are compared with the reference, all their heads. */
const CHECKED_ROWS = 12;

/** The proxy problem with its tensors on the device, and what some of its rows must be. */
export class ProxyProblem {
  readonly flops: number;
  readonly #shape: SoftmaxShape;
  readonly #made: SoftmaxCaseInputs;
  readonly #tensors: Readonly<Record<"q" | "k" | "v" | "out" | "lse", TensorView> & { bias?: TensorView }>;
  readonly #expected: readonly { row: number; out: Float64Array; lse: Float64Array }[];
  readonly #tolerance: number;

  constructor(
    readonly ctx: AttentionContext,
    problem: SoftmaxShape,
    readonly sizes: Sizes,
  ) {
    this.flops = proxyFlops(problem, sizes);
    const made = makeCaseInputs(proxyCase(problem, sizes), noise());
    const place = (dense: DenseData, dtype: TensorView["dtype"]) =>
      placed(ctx, dense, dtype, proxyStrides(problem, ctx.capabilities, dense.shape));
    const { batches, tokensQ, heads, valueDim } = sizes;
    const outShape = [batches, tokensQ, heads, valueDim] as const;
    this.#made = made;
    this.#tensors = {
      q: place(made.q, problem.q.dtype),
      k: place(made.k, problem.k.dtype),
      v: place(made.v, problem.v.dtype),
      ...(made.bias && { bias: ctx.fromArray(made.bias.data, made.bias.shape) }),
      out: place(filled(outShape), problem.out.dtype),
      lse: place(filled([batches, tokensQ, heads, 1]), "f32"),
    };
    const { q, k, v, bias, out, lse } = this.#tensors;
    const tensors = { q, k, v, ...(bias && { bias }), out, lse };
    this.#shape = checkProblem({ ...made.options, ...tensors }, ctx.capabilities);
    this.#tolerance = problem.q.dtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32;
    const rounded = { ...made, q: halves(made.q, q), k: halves(made.k, k), v: halves(made.v, v) };
    this.#expected = spreadRows(batches, tokensQ, CHECKED_ROWS).map(({ batch, query }) => ({
      row: batch * tokensQ + query,
      ...softmaxAttentionReference(rowInputs(rounded, { batch, query })),
    }));
  }

  async prepare(configuration: SoftmaxConfiguration): Promise<PreparedCandidate> {
    const { ctx } = this;
    const shape = this.#shape;
    const maxDispatchFlops = dispatchBudget(shape, ctx.capabilities, ctx.maxDispatchMs);
    const passes = planSoftmax(shape, ctx.capabilities, { configuration, maxDispatchFlops });
    const compiled = await CompiledPasses.compile(ctx, passes, softmaxTables(shape, this.#made.options));
    const specs = {
      q: { layout: shape.q },
      k: { layout: shape.k },
      v: { layout: shape.v },
      ...(shape.bias && { bias: { layout: this.#tensors.bias! } }),
      out: { layout: shape.out, output: true },
      lse: { layout: shape.lse!, output: true },
    };
    const tensors = bindTensors(specs, { ...this.#tensors }, ctx.capabilities);
    return {
      run: (times) =>
        timeOnGpu(ctx, passes.length * times, (encoder, profiler) => {
          for (let n = 0; n < times; n++) compiled.encode(encoder, tensors, { profiler });
        }),
      verify: () => this.#verify(),
      destroy: () => compiled.destroy(),
    };
  }

  /** Compares what was written last, then fills it with NaN, so that a candidate that writes nothing is found out. */
  async #verify(): Promise<string | undefined> {
    const { out, lse } = this.#tensors;
    const found = { out: await this.ctx.read(out), lse: await this.ctx.read(lse) };
    const tolerances = { out: this.#tolerance, lse: TOLERANCE_F32 };
    for (const [name, values] of Object.entries(found) as ["out" | "lse", Float32Array][]) {
      const error = largestError(
        this.#expected.map(({ row, ...of }) => ({ row, expected: of[name] })),
        values,
      );
      if (error > tolerances[name])
        return `${name} is off by ${error.toExponential(1)} of the largest value, more than ${tolerances[name]}`;
    }
    for (const view of [out, lse]) {
      const words = new Uint32Array(Math.floor(view.buffer.size / 4)).fill(0xffffffff);
      this.ctx.device.queue.writeBuffer(view.buffer, 0, words);
    }
    return undefined;
  }

  destroy(): void {
    for (const { buffer } of Object.values(this.#tensors)) buffer.destroy();
  }
}

function largestError(
  rows: readonly { readonly row: number; readonly expected: Float64Array }[],
  values: Float32Array,
): number {
  let error = 0;
  let largest = 0;
  for (const { row, expected } of rows) {
    expected.forEach((value, index) => {
      const actual = values[row * expected.length + index]!;
      if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
      if (actual === value) return;
      const difference = Math.abs(actual - value);
      error = Math.max(error, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
    });
  }
  return error / (largest || 1);
}

/** Uploads dense data with the given strides. */
function placed(
  ctx: AttentionContext,
  { data, shape }: DenseData,
  dtype: TensorView["dtype"],
  strides: TensorView["shape"],
): TensorView {
  const layout = { dtype, shape, strides };
  const [dim, row] = [shape[3], strides[2]];
  const spread = new Float32Array(extentOf(layout).end);
  for (let n = 0; n < elementCount(shape) / dim; n++)
    spread.set(data.subarray(n * dim, (n + 1) * dim), n * row);
  const { buffer } = ctx.fromArray(spread, [1, 1, 1, spread.length], dtype);
  return { ...layout, buffer };
}

function filled(shape: TensorView["shape"]): DenseData {
  return { shape, data: new Float32Array(elementCount(shape)).fill(Number.NaN) };
}

/** Repeatable numbers of about the normal distribution: the sum of four even ones. */
function noise(): () => number {
  let state = 1;
  const even = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  return () => 1.7 * (even() + even() + even() + even());
}

function halves(dense: DenseData, { dtype }: TensorView): DenseData {
  if (dtype === "f32") return dense;
  return { ...dense, data: dense.data.map((value) => float16ToNumber(numberToFloat16(value))) };
}
