import { checkNumber, fail } from "../../src/dispatch/check.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import type { TensorView } from "../../src/dispatch/tensor-view.js";
import { throwIfAborted } from "../../src/dispatch/tuning/abort.js";
import { checkOptions } from "../../src/dispatch/validate.js";
import type { SaleOptions } from "./options.js";
import { checkProblem } from "./problem.js";
import { planSample, type SamplePlan } from "./sample-plan.js";

/** What one layer computes attention of, for one prompt. */
export interface SaleSample {
  /** Default 0. */
  readonly layer?: number;
  /** [B, T, Hq, D], after position embedding. Prompts may differ in length, heads of a layer may not. */
  readonly q: TensorView;
  /** [B, T, Hkv, D] */
  readonly k: TensorView;
  /** [B, T, Hkv, Dv] */
  readonly v: TensorView;
}

export interface SaleCalibrationOptions extends Omit<SaleOptions, "thresholds"> {
  /** Threshold that heads start with, above 0. Default 0.008, as published. */
  readonly start?: number;
  /** A head that would come to a threshold of at most this is dense: threshold 0. Default 1e-4, as published. */
  readonly floor?: number;
  /**
   * Error that a head may have: the sum over channels of |sparse output - dense output|, as a mean over tokens. Default 0.4, as
   * published for Llama-3.1-8B; it is in units of the values, so another model may want another.
   */
  readonly errorBound?: number;
  /** Samples in all, where that is known, for `onProgress`. Default the length of an array. */
  readonly total?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: SaleCalibrationProgress) => void;
}

export interface SaleCalibrationProgress {
  readonly layer: number;
  /** Samples done. */
  readonly done: number;
  /** Samples in all, where that is known. */
  readonly total?: number;
  /** Thresholds of the layer so far. */
  readonly thresholds: readonly number[];
}

/** What calibration found of a layer: plain JSON. */
export interface SaleLayerCalibration {
  readonly layer: number;
  /** What `saleAttention` takes: `saleAttention(ctx, q, k, v, calibration.layers[n].options)`. */
  readonly options: {
    readonly thresholds: readonly number[];
    readonly blockK: number;
    readonly segment: number;
    readonly localWindow: number;
    readonly scale?: number;
  };
  /** [Hq] share of the causal blocks that was visited: mean over the layer's samples, at the threshold each left. */
  readonly keptFraction: readonly number[];
  /** [Hq] largest error of a sample, as `errorBound` has it, at the threshold it left. */
  readonly error: readonly number[];
}

export interface SaleCalibration {
  readonly start: number;
  readonly floor: number;
  readonly errorBound: number;
  /** Ascending by `layer`. */
  readonly layers: readonly SaleLayerCalibration[];
}

const ENDED = {
  subject: "calibrateSale",
  fix: "Call it again; thresholds found so far were given to onProgress.",
};

/** How a layer stands while samples come in. */
interface LayerState {
  thresholds: number[];
  readonly kept: number[];
  readonly error: number[];
  samples: number;
}

const OPTION_NAMES = [
  ...["blockK", "segment", "localWindow", "scale"],
  ...["start", "floor", "errorBound", "total", "signal", "onProgress"],
];

/**
 * Finds a threshold for each layer and head by the published rule: from `start` on, halve a head's threshold while its error on
 * a sample is at least `errorBound`; a threshold that comes to `floor` or less is 0, which is dense. Thresholds go on from sample
 * to sample, so they only fall. Errors are measured against dense attention of the same sample.
 *
 * @param samples one after another; each is used before the next is asked for, so an async generator may compute them and free
 *   their buffers in turn. Buffers stay the caller's.
 * @throws AttentionError "aborted" when `signal` fires, "shape" for options that make no sense or no samples, and as
 *   `planSaleAttention`
 */
export async function calibrateSale(
  ctx: AttentionContext,
  samples: Iterable<SaleSample> | AsyncIterable<SaleSample>,
  options: SaleCalibrationOptions = {},
): Promise<SaleCalibration> {
  checkOptions("calibrateSale", options, OPTION_NAMES);
  const { start = 0.008, floor = 1e-4, errorBound = 0.4, signal, onProgress } = options;
  for (const [name, value] of Object.entries({ start, floor, errorBound })) checkNumber(name, value, 0);
  const { blockK = 32, segment = 128, localWindow = 128, scale } = options;
  const selection = { blockK, segment, localWindow, ...(scale !== undefined && { scale }) };
  const total = options.total ?? (Array.isArray(samples) ? samples.length : undefined);
  const layers = new Map<number, LayerState>();
  let done = 0;
  throwIfAborted(signal, ENDED);
  for await (const sample of samples) {
    throwIfAborted(signal, ENDED);
    const { layer = 0, q, k, v } = sample;
    if (!Number.isInteger(layer)) fail("shape", "layer", "an integer", layer, "Leave it out for 0.");
    const shape = checkProblem({ q, k, v, ...selection, thresholds: start }, ctx.capabilities);
    const { heads } = shape;
    const state = layers.get(layer) ?? {
      thresholds: Array<number>(heads).fill(start),
      kept: Array<number>(heads).fill(0),
      error: Array<number>(heads).fill(0),
      samples: 0,
    };
    layers.set(layer, state);
    checkHeads(layer, heads, state);
    const plan = await planSample(ctx, sample, selection, shape, () => throwIfAborted(signal, ENDED));
    try {
      await settle(plan, state, { floor, errorBound });
    } finally {
      plan.destroy();
    }
    done++;
    onProgress?.({ layer, done, ...(total !== undefined && { total }), thresholds: [...state.thresholds] });
  }
  if (done === 0) fail("shape", "samples", "one at least", "none", "Give q, k and v of a prompt.");
  const entries = [...layers].sort(([a], [b]) => a - b);
  return {
    start,
    floor,
    errorBound,
    layers: entries.map(([layer, { thresholds, kept, error, samples: count }]) => ({
      layer,
      options: { thresholds, ...selection },
      keptFraction: kept.map((sum) => sum / count),
      error,
    })),
  };
}

/** Halves the thresholds of heads whose error on this sample is too large, all of them at once, until none's is. */
async function settle(
  plan: SamplePlan,
  state: LayerState,
  rule: { readonly floor: number; readonly errorBound: number },
): Promise<void> {
  for (;;) {
    const { error, kept } = await plan.run(state.thresholds);
    const wrong = error.findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0)
      fail(
        "shape",
        "samples",
        "finite numbers in q, k and v",
        `an output of head ${wrong} that is none`,
        "Leave out what lies behind the end of a prompt.",
      );
    const failing = (h: number) => state.thresholds[h]! > 0 && error[h]! >= rule.errorBound;
    if (!state.thresholds.some((_, h) => failing(h))) {
      state.samples++;
      for (const h of state.thresholds.keys()) {
        state.kept[h]! += kept[h]!;
        state.error[h] = Math.max(state.error[h]!, error[h]!);
      }
      return;
    }
    state.thresholds = state.thresholds.map((threshold, h) => {
      if (!failing(h)) return threshold;
      return threshold / 2 <= rule.floor ? 0 : threshold / 2;
    });
  }
}

function checkHeads(layer: number, heads: number, { thresholds }: LayerState): void {
  if (heads === thresholds.length) return;
  const fix = "All samples of a layer have the same query heads.";
  fail("shape", `q.shape[2] (heads) of layer ${layer}`, `${thresholds.length}, as before`, heads, fix);
}
