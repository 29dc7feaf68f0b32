// Runs statistics of a problem of softmax attention's and compares them with the reference on whole maps.

import { compileStatistics } from "../../kernels/_calibration/statistics/compile.js";
import type { StatisticName, StatisticsRequest } from "../../kernels/_calibration/statistics/options.js";
import {
  type AttentionStatisticsProblem,
  checkStatistics,
} from "../../kernels/_calibration/statistics/problem.js";
import { type DenseData, makeCaseInputs, rounded } from "../../kernels/softmax/case-inputs.js";
import type { SoftmaxCase } from "../../kernels/softmax/cases.js";
import { withHiddenNaN } from "../../kernels/softmax/check-case.js";
import { type SoftmaxOptions, softmaxAttention } from "../../kernels/softmax/index.js";
import { loadMods } from "../../kernels/softmax/load-mods.js";
import type { SoftmaxReferenceInputs } from "../../kernels/softmax/reference.js";
import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { elementCount, type TensorView } from "../../src/dispatch/tensor-view.js";
import { difference } from "./compare.js";
import { optionsInBuffers } from "./option-buffers.js";
import { type Placement, placer } from "./placement.js";
import { normalArray, randomSource } from "./random.js";
import { type ReferenceInputs, referenceStatistics } from "./statistics-reference.js";

export interface StatisticsRun {
  readonly problem: SoftmaxCase;
  readonly statistics: StatisticsRequest;
  readonly headGroups?: AttentionStatisticsProblem["headGroups"];
  /** Whether rows have random terms. */
  readonly rowTerms?: boolean;
  readonly seed?: number;
  /** Where q, k and the bias lie in their buffers. Default dense. */
  readonly placements?: Partial<Record<"q" | "k" | "bias", Placement>>;
  /** Whether lengths, masks and sink logits are given as GPU buffers. Default false. */
  readonly buffers?: boolean;
  /** Whether the bias, if there is one, is -infinity in places. Default false. */
  readonly biasHides?: boolean;
  /** The application's WGSL, and the same for the reference. */
  readonly mods?: readonly [
    Pick<SoftmaxOptions, "scoreMod" | "maskMod">,
    Pick<SoftmaxReferenceInputs, "scoreMod" | "maskMod">,
  ];
  /** Kind of device to plan for. */
  readonly capabilities?: Capabilities;
  /** Rolled loops compile in a fifth of the time and run the same text. Default false. */
  readonly unroll?: boolean;
}

/** The largest error of each statistic, relative to its largest value; keys of rows count as the weights that they have. */
export async function checkStatisticsCase(
  ctx: AttentionContext,
  run: StatisticsRun,
): Promise<Partial<Record<StatisticName, number>>> {
  const { problem, statistics, headGroups, rowTerms = false, seed = 1, mods } = run;
  const { capabilities, unroll = false } = run;
  const random = randomSource(seed);
  const normal = () => normalArray(1, random)[0]!;
  const plain = makeCaseInputs(problem, normal);
  const hidden = (x: number) => (run.biasHides && x > 0.8 ? Number.NEGATIVE_INFINITY : x);
  const made = {
    ...plain,
    ...(plain.bias && { bias: { ...plain.bias, data: plain.bias.data.map(hidden) } }),
  };
  const { dtype, kvDtype, batches, heads, tokensQ, tokensK } = problem;
  const dense = { q: rounded(made.q, dtype), k: rounded(made.k, kvDtype), v: rounded(made.v, kvDtype) };
  const created: TensorView[] = [];
  const upload = ({ data, shape }: DenseData, type: "f32" | "f16" = "f32"): TensorView => {
    const view = ctx.fromArray(data, shape, type);
    created.push(view);
    return view;
  };
  const place = placer(ctx, run.placements);
  const q = place("q", dense.q.shape, dense.q.data, dtype);
  const k = place("k", dense.k.shape, withHiddenNaN(dense.k, made.options), kvDtype);
  const v = upload({ ...dense.v, data: withHiddenNaN(dense.v, made.options) }, kvDtype);
  const bias = made.bias && place("bias", made.bias.shape, made.bias.data);
  const words: GPUBuffer[] = [];
  const lists = run.buffers ? optionsInBuffers(ctx, tokensK, made.options, words) : made.options;
  const options = { ...lists, ...mods?.[0], ...(bias && { bias }) };
  const { out, lse } = await softmaxAttention(ctx, q, k, v, { ...options, lse: true });
  created.push(q, k, ...(bias ? [bias] : []), out, lse!);
  const terms = rowTerms ? randomTerms(batches * heads * tokensQ, tokensK, normal) : undefined;
  const termsView =
    terms && ctx.fromArray(new Float32Array(terms.words.length), [batches, heads, tokensQ, 4]);
  if (termsView) {
    created.push(termsView);
    ctx.device.queue.writeBuffer(termsView.buffer, 0, terms!.words);
  }

  const planned: AttentionStatisticsProblem = {
    ...options,
    q,
    k,
    lse: lse!,
    statistics,
    ...(headGroups && { headGroups }),
    ...(termsView && { rowTerms: termsView }),
  };
  const shape = checkStatistics(planned, ctx.capabilities, await loadMods(planned));
  const plan = await compileStatistics<Record<string, TensorView>>(ctx, shape, planned, {
    unroll,
    ...(capabilities && { capabilities }),
  });
  const outputs = Object.fromEntries(
    Object.entries(shape.outputs).map(([name, layout]) => {
      const nan = new Float32Array(elementCount(layout.shape)).fill(Number.NaN);
      return [name, { ...layout, buffer: upload({ data: nan, shape: layout.shape }).buffer }] as const;
    }),
  );
  const tensors = {
    q,
    k,
    lse: lse!,
    ...(bias && { bias }),
    ...(termsView && { rowTerms: termsView }),
    ...outputs,
  };
  await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
  plan.destroy();

  const inputs: ReferenceInputs = {
    problem: { ...dense, ...made.options, ...mods?.[1], ...(made.bias && { bias: made.bias }) },
    statistics,
    groups: headGroups ?? Array.from({ length: heads }, (_, head) => [head]),
    ...(headGroups && { compared: headGroups }),
    ...(terms && { terms }),
  };
  const expected = referenceStatistics(inputs);
  const errors: Partial<Record<StatisticName, number>> = {};
  for (const [name, view] of Object.entries(outputs) as [StatisticName, TensorView][]) {
    const actual = await ctx.read(view);
    const { values, asWeights } = expected[name]!;
    errors[name] = difference(asWeights ? asWeights(actual) : actual, values).maxRelative;
  }
  for (const buffer of [...created.map((view) => view.buffer), ...words]) buffer.destroy();
  return errors;
}

export interface RandomTerms {
  /** [B, H, Tq, 4] as `rowTermsLayout` has them. */
  readonly words: Uint32Array<ArrayBuffer>;
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly c: Float32Array;
  readonly keys: Uint32Array;
}

/** Terms that leave a positive weight on every visible key. */
function randomTerms(rows: number, tokensK: number, normal: () => number): RandomTerms {
  const words = new Uint32Array(4 * rows);
  const floats = new Float32Array(words.buffer);
  for (let row = 0; row < rows; row++) {
    const key = Math.floor(Math.abs(normal()) * tokensK) % (tokensK + 1);
    floats.set([0.2 + Math.abs(normal()), Math.abs(normal()), 0.01 * Math.abs(normal())], 4 * row);
    words[4 * row + 3] = key === tokensK ? 0xffffffff : key;
  }
  const column = (n: number) => Float32Array.from({ length: rows }, (_, row) => floats[4 * row + n]!);
  const keys = Uint32Array.from({ length: rows }, (_, row) => words[4 * row + 3]!);
  return { words, a: column(0), b: column(1), c: column(2), keys };
}
