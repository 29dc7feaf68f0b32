import { fail } from "../../src/dispatch/check.js";
import { CompiledPasses } from "../../src/dispatch/compiled-passes.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { ScratchArena } from "../../src/dispatch/scratch.js";
import { bindTensors } from "../../src/dispatch/tensor-set.js";
import {
  elementCount,
  extentOf,
  type Shape4,
  type TensorLayout,
  type TensorView,
} from "../../src/dispatch/tensor-view.js";
import type { PreparedCandidate } from "../../src/dispatch/tuning/candidate.js";
import { timeOnGpu } from "../../src/dispatch/tuning/time-on-gpu.js";
import { type DenseData, makeCaseInputs, rounded, type SoftmaxCaseInputs } from "./case-inputs.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import { dispatchBudget } from "./effort.js";
import { planSoftmax } from "./plan.js";
import { checkProblem, type SoftmaxShape } from "./problem.js";
import { proxyCase, proxyFlops, proxyStrides } from "./proxy.js";
import { disagreement, type ExpectedRow, expectedRows } from "./proxy-check.js";
import type { Sizes } from "./sizes.js";
import { softmaxTables } from "./tables.js";

type ProxyTensors = Readonly<Record<"q" | "k" | "v" | "out" | "lse", TensorView> & { bias?: TensorView }>;

/**
 * The proxy problem with its tensors on the device, and what some of its rows must be. Its scratch is its own: the application
 * may be between two submissions of a plan whose partial sums lie in the context's.
 */
export class ProxyProblem {
  readonly flops: number;
  readonly #scratch: ScratchArena;

  private constructor(
    readonly ctx: AttentionContext,
    readonly sizes: Sizes,
    readonly shape: SoftmaxShape,
    readonly options: SoftmaxCaseInputs["options"],
    readonly tensors: ProxyTensors,
    readonly expected: readonly ExpectedRow[],
  ) {
    this.flops = proxyFlops(shape, sizes);
    this.#scratch = new ScratchArena(ctx.device);
  }

  /** @throws AttentionError "limit" where the device has no room for it, "aborted", "device-lost" */
  static async create(
    ctx: AttentionContext,
    problem: SoftmaxShape,
    sizes: Sizes,
    signal?: AbortSignal,
  ): Promise<ProxyProblem> {
    const proxy = proxyCase(problem, sizes);
    const drawn = makeCaseInputs(proxy, noise());
    const [q, k, v] = [
      rounded(drawn.q, proxy.dtype),
      rounded(drawn.k, proxy.kvDtype),
      rounded(drawn.v, proxy.kvDtype),
    ];
    const made = { ...drawn, q, k, v };
    const buffers: GPUBuffer[] = [];
    try {
      const tensors = await upload(ctx, problem, made, buffers);
      const { bias, ...others } = tensors;
      const given = { ...made.options, ...others, ...(bias && { bias }) };
      const shape = checkProblem(given, ctx.capabilities);
      const expected = await expectedRows(made, signal);
      return new ProxyProblem(ctx, sizes, shape, made.options, tensors, expected);
    } catch (error) {
      for (const buffer of buffers) buffer.destroy();
      throw error;
    }
  }

  async prepare(configuration: SoftmaxConfiguration): Promise<PreparedCandidate> {
    const { ctx, shape } = this;
    const maxDispatchFlops = dispatchBudget(shape, ctx.capabilities, ctx.maxDispatchMs);
    const passes = planSoftmax(shape, ctx.capabilities, { configuration, maxDispatchFlops });
    const tables = softmaxTables(shape, this.options);
    const compiled = await CompiledPasses.compile(ctx, passes, tables, this.#scratch);
    const specs = {
      q: { layout: shape.q },
      k: { layout: shape.k },
      v: { layout: shape.v },
      ...(shape.bias && { bias: { layout: this.tensors.bias! } }),
      out: { layout: shape.out, output: true },
      lse: { layout: shape.lse!, output: true },
    };
    const tensors = bindTensors(specs, { ...this.tensors }, ctx.capabilities);
    const run = (times: number) =>
      timeOnGpu(ctx, passes.length * times, (encoder, profiler) => {
        for (let n = 0; n < times; n++) compiled.encode(encoder, tensors, { profiler });
      });
    return {
      run,
      check: async () => {
        this.#forget();
        const time = await run(1);
        const wrong = await this.#verify();
        return { time, ...(wrong !== undefined && { wrong }) };
      },
      destroy: () => compiled.destroy(),
    };
  }

  /** NaN wherever the last candidate left results, whole or partial: one that writes nothing must not pass with them. */
  #forget(): void {
    this.#scratch.fill(Number.NaN);
    for (const { buffer } of [this.tensors.out, this.tensors.lse]) {
      const words = new Uint32Array(Math.floor(buffer.size / 4)).fill(0xffffffff);
      this.ctx.device.queue.writeBuffer(buffer, 0, words);
    }
  }

  async #verify(): Promise<string | undefined> {
    const { out, lse } = this.tensors;
    const found = { out: await this.ctx.read(out), lse: await this.ctx.read(lse) };
    return disagreement(this.expected, found, out.dtype);
  }

  destroy(): void {
    this.#scratch.destroy();
    for (const { buffer } of Object.values(this.tensors)) buffer.destroy();
  }
}

/** Puts the proxy's tensors on the device; every buffer is added to `buffers` as it is made. */
async function upload(
  ctx: AttentionContext,
  problem: SoftmaxShape,
  { q, k, v, bias }: SoftmaxCaseInputs,
  buffers: GPUBuffer[],
): Promise<ProxyTensors> {
  const kept = (view: TensorView): TensorView => {
    buffers.push(view.buffer);
    return view;
  };
  const layoutOf = (shape: Shape4, dtype: TensorView["dtype"]) => {
    return { dtype, shape, strides: proxyStrides(problem, ctx.capabilities, shape) };
  };
  const input = ({ data, shape }: DenseData, dtype: TensorView["dtype"]): TensorView => {
    const layout = layoutOf(shape, dtype);
    const numbers = spread(data, layout);
    return { ...layout, buffer: kept(ctx.fromArray(numbers, [1, 1, 1, numbers.length], dtype)).buffer };
  };
  const output = (shape: Shape4, dtype: TensorView["dtype"]): TensorView => {
    const layout = layoutOf(shape, dtype);
    return { ...layout, buffer: kept(ctx.empty([1, 1, 1, extentOf(layout).end], dtype)).buffer };
  };
  const [batches, tokensQ, heads] = q.shape;
  return inErrorScope(ctx, () => ({
    q: input(q, problem.q.dtype),
    k: input(k, problem.k.dtype),
    v: input(v, problem.v.dtype),
    ...(bias && { bias: kept(ctx.fromArray(bias.data, bias.shape)) }),
    out: output([batches, tokensQ, heads, problem.valueDim], problem.out.dtype),
    lse: output([batches, tokensQ, heads, 1], "f32"),
  }));
}

/** Buffers that the driver has no room for are an error of measuring, not one for the application's handler. */
async function inErrorScope<Result>(ctx: AttentionContext, work: () => Result): Promise<Result> {
  const { device } = ctx;
  device.pushErrorScope("out-of-memory");
  device.pushErrorScope("validation");
  let result: { of: Result } | { thrown: unknown };
  try {
    result = { of: work() };
  } catch (thrown) {
    result = { thrown };
  }
  const scopes = Promise.all([device.popErrorScope(), device.popErrorScope()]);
  const refusal = (await scopes.catch(() => [null])).find((error) => error !== null);
  if ("thrown" in result) throw result.thrown;
  await ctx.assertAlive();
  if (refusal)
    fail(
      "limit",
      "tuning",
      "memory for a proxy of the problem",
      refusal.message,
      "Free buffers, or choose by the table.",
    );
  return result.of;
}

/** Dense data with the strides of a layout. */
function spread(data: Float32Array<ArrayBuffer>, layout: TensorLayout): Float32Array<ArrayBuffer> {
  const [dim, row] = [layout.shape[3], layout.strides![2]];
  if (row === dim) return data;
  const result = new Float32Array(extentOf(layout).end);
  for (let n = 0; n < elementCount(layout.shape) / dim; n++)
    result.set(data.subarray(n * dim, (n + 1) * dim), n * row);
  return result;
}

/** So many numbers that no two rows are alike, few enough to be made in a moment; a prime, so that they meet no row's length. */
const NOISE = 65_521;

/** Repeatable numbers of about the normal distribution: the sum of four even ones. */
function noise(): () => number {
  let state = 1;
  const even = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  const numbers = Float32Array.from({ length: NOISE }, () => 1.7 * (even() + even() + even() + even()));
  let next = 0;
  return () => numbers[next++ % NOISE]!;
}
