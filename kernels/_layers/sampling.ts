import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { checkBoolean, checkNumber, checkUsage, fail } from "../../src/dispatch/check.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { bytesOf, checkBindable } from "../../src/dispatch/layout.js";
import { type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import {
  type Shape4,
  stridesOf,
  type TensorLayout,
  type TensorView,
} from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkOptions } from "../../src/dispatch/validate.js";
import { checkRounds } from "./check-rounds.js";
import { compileLayer, type LayerPlan, layerPlanWith } from "./layer-plan.js";
import { checkRows } from "./layouts.js";
import { checkLengths } from "./lengths.js";
import kernel from "./sample.wgsl";
import { u32View } from "./u32-view.js";

/** How the next token is chosen. Each option leaves fewer tokens, in the order in which they stand here. */
export interface SamplingOptions {
  /** Logits of tokens in the past are divided by it where positive, else multiplied (CTRL, arXiv 1909.05858); above 0. Default 1. */
  readonly repetitionPenalty?: number;
  /** How many of the newest tokens of the past are penalised. Default all. */
  readonly repetitionWindow?: number;
  /** Logits are divided by it, at least 1e-4; 0 takes the largest (greedy), and the options below have no say. Default 0. */
  readonly temperature?: number;
  /** The k most likely, and what is as likely as the last of them. Default all. */
  readonly topK?: number;
  /** The most likely that together come to p of what is left, and what is as likely as the last of them; above 0. Default 1: all. */
  readonly topP?: number;
  /** Those at least this share as likely as the most likely, from 0 to 1. Default 0. */
  readonly minP?: number;
  /** An integer from 0 to 2^53 - 1. Seed, place in the sequence, batch entry and id decide chance. Default 0. */
  readonly seed?: number;
}

export interface SamplingProblem extends SamplingOptions {
  /** [B, T, 1, vocabulary] f32 */
  readonly logits: TensorLayout;
  /** u32 [B]: tokens up to and with the last row's, as `planQkv` takes it. Default: row t is token t, and the past begins there. */
  readonly lengths?: GPUBuffer;
  /**
   * u32 [B, capacity] tokens so far: the past of row t is what stands before its next token. That of the last row is written to its
   * place, if there is one. A penalty needs it. Default none.
   */
  readonly history?: { readonly buffer: GPUBuffer; readonly capacity: number };
  /** Adds 1 to `lengths` afterwards, so that steps follow each other without the host; for one row. Default false. */
  readonly advance?: boolean;
}

export interface SamplingTensors {
  readonly logits: TensorView;
  /** u32 [B, T], dense, with STORAGE usage. Written. */
  readonly ids: GPUBuffer;
}

type SamplingShape = SamplingProblem & Required<SamplingOptions>;

/** Of `sample.wgsl`. */
const THREADS = 128;
const PENALISED = 2;
/** Loops over digits and over threads' results: eight levels each of top-k and top-p, and the sums and largest values between. */
const FIXED_ROUNDS = 2 * 8 * (16 + THREADS + 15) + 3 * THREADS;

/**
 * Plans the choice of a token for each row of logits, in one pass: only ids come back. The same logits, seed and place give the
 * same token on every device, but for rounding of nearly equal scores. Of equal logits the lowest id is taken; NaN, -infinity and what
 * is at most -1e38 are never taken, and a row of nothing else gives 0. +infinity counts as 1e30, as does what is larger.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planSampling(
  ctx: AttentionContext,
  problem: SamplingProblem,
): Promise<LayerPlan<SamplingTensors>> {
  const shape = checkSampling(problem, ctx.capabilities);
  const [batches, tokens] = shape.logits.shape;
  const idShape: Shape4 = [batches, tokens, 1, 1];
  const plan = await compileLayer(ctx, samplingPass(shape, ctx.capabilities), {
    logits: { layout: shape.logits },
    ids: { layout: { dtype: "f32", shape: idShape }, output: true },
  });
  return layerPlanWith(plan, ({ logits, ids }: SamplingTensors) => ({ logits, ids: u32View(ids, idShape) }));
}

const OPTIONS = [
  "logits",
  "lengths",
  "history",
  "advance",
  "repetitionPenalty",
  "repetitionWindow",
  "temperature",
  "topK",
  "topP",
  "minP",
  "seed",
] as const satisfies readonly (keyof SamplingProblem)[];

/** Checks a problem without touching the GPU and fills in its defaults. */
export function checkSampling(problem: SamplingProblem, capabilities: Capabilities): SamplingShape {
  checkOptions("sampling", problem, OPTIONS);
  const { logits, lengths, history, advance = false } = problem;
  const { batches, tokens, dim: vocabulary } = checkRows("logits", logits);
  checkBindable({ logits }, capabilities);
  const options = checkSamplingOptions(problem, vocabulary);
  if (lengths) checkLengths(lengths, batches);
  if (history) checkHistory(history, batches);
  else if (options.repetitionPenalty !== 1)
    fail("shape", "history", "the tokens so far", "none", "A repetition penalty needs them.");
  checkBoolean("advance", advance);
  if (advance && (!lengths || tokens !== 1))
    fail("unsupported", "advance", "lengths, and one row of logits", `${tokens} rows`, "Leave it out.");
  const rounds = Math.ceil(vocabulary / THREADS) * 22 + mostPenalised({ history, ...options }) + FIXED_ROUNDS;
  checkRounds(rounds, capabilities, {
    ...{ subject: "logits.shape[3] (dim)", fewer: "tokens, or a shorter history", got: vocabulary },
    fix: "Sample elsewhere.",
  });
  return { ...problem, ...options, advance };
}

/** Tokens of the past that a row reads at most. */
function mostPenalised({
  history,
  repetitionPenalty,
  repetitionWindow,
}: Pick<SamplingShape, "history" | "repetitionPenalty" | "repetitionWindow">): number {
  return history && repetitionPenalty !== 1 ? Math.min(history.capacity, repetitionWindow) : 0;
}

/** @throws AttentionError "shape" */
export function checkSamplingOptions(
  options: SamplingOptions,
  vocabulary: number,
): Required<SamplingOptions> {
  const { repetitionPenalty = 1, repetitionWindow = 2 ** 31, temperature = 0 } = options;
  const { topK = vocabulary, topP = 1, minP = 0, seed = 0 } = options;
  checkNumber("repetitionPenalty", repetitionPenalty, 0);
  checkNumber("temperature", temperature);
  if (temperature !== 0 && temperature < 1e-4)
    fail("shape", "temperature", "0 (greedy) or at least 1e-4", temperature, "Leave it out for greedy.");
  const between = (name: string, value: number, least: number, most: number) => {
    if (Number.isInteger(value) && value >= least && value <= most) return;
    fail("shape", name, `an integer from ${least} to ${most}`, value, "Leave it out for the default.");
  };
  between("repetitionWindow", repetitionWindow, 0, 2 ** 31);
  between("topK", topK, 1, Number.MAX_SAFE_INTEGER);
  between("seed", seed, 0, Number.MAX_SAFE_INTEGER);
  if (!(topP > 0 && topP <= 1))
    fail("shape", "topP", "a number above 0, at most 1", topP, "Leave it out for 1, which keeps all.");
  if (!(minP >= 0 && minP <= 1))
    fail("shape", "minP", "a number from 0 to 1", minP, "Leave it out for 0, which keeps all.");
  return { repetitionPenalty, repetitionWindow, temperature, topK, topP, minP, seed };
}

function checkHistory({ buffer, capacity }: NonNullable<SamplingProblem["history"]>, batches: number): void {
  if (!(Number.isInteger(capacity) && capacity >= 1))
    fail(
      "shape",
      "history.capacity",
      "an integer of at least 1",
      capacity,
      "It counts tokens of a batch entry.",
    );
  if (!(buffer?.size >= 4 * batches * capacity))
    fail(
      "shape",
      "history.buffer",
      `at least ${4 * batches * capacity} bytes`,
      buffer?.size,
      "A u32 for each place of each batch entry.",
    );
  checkUsage("history.buffer usage", buffer, "STORAGE");
}

export function samplingPass(shape: SamplingShape, capabilities: Capabilities): Pass {
  const { logits, lengths, history, advance = false, temperature, topK, topP, minP, seed } = shape;
  const [batches, tokens, , vocabulary] = logits.shape;
  const rows = batches * tokens;
  const greedy = temperature === 0;
  const penalty = shape.repetitionPenalty !== 1;
  const sweeps = (penalty ? 1 : 0) + (greedy ? 1 : 2 + (topK < vocabulary ? 8 : 0) + (topP < 1 ? 9 : 0));
  const penalised = penalty ? 4 * rows * vocabulary : 0;
  return {
    name: "layers/sample",
    kernel,
    variant: "base",
    constants: {
      GREEDY: greedy,
      HAS_TOP_K: topK < vocabulary,
      HAS_TOP_P: topP < 1,
      HAS_PENALTY: penalty,
      HAS_HISTORY: history !== undefined,
      HAS_LENGTHS: lengths !== undefined,
      ADVANCE: advance,
    },
    workgroups: spreadWorkgroups(rows, capabilities.limits.maxComputeWorkgroupsPerDimension),
    bindings: {
      logits: { tensor: "logits" },
      history: history ? { buffer: history.buffer } : { unused: true },
      lengths: lengths ? { buffer: lengths } : { unused: true },
      penalised: penalty ? { scratch: PENALISED, bytes: penalised } : { unused: true },
      ids: { tensor: "ids" },
    },
    uniforms: {
      params: {
        strides_logits: stridesOf(logits),
        base_logits: bindingRange(logits, capabilities).base,
        tokens,
        rows,
        vocabulary,
        top_k: topK,
        top_p: topP,
        // log 0 is -infinity, and nothing lies below this gap.
        least_gap: minP > 0 ? temperature * Math.log(minP) : -3e30,
        inverse_temperature: greedy ? 1 : 1 / temperature,
        penalty: shape.repetitionPenalty,
        penalty_window: shape.repetitionWindow,
        history_capacity: history?.capacity ?? 0,
        seed_low: seed % 2 ** 32,
        seed_high: Math.floor(seed / 2 ** 32),
      },
    },
    cost: {
      flops: 4 * rows * vocabulary * sweeps,
      bytes: bytesOf(logits) + penalised + 4 * batches * mostPenalised(shape) + 4 * rows,
    },
  };
}
