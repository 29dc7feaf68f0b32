import { bytesOf } from "../../../src/dispatch/layout.js";
import type { KernelBindings, Pass } from "../../../src/dispatch/pass.js";
import type { TensorLayout } from "../../../src/dispatch/tensor-view.js";
import { maskBindings, scoreSlots, storageConditions } from "../../softmax/pass-parts.js";
import { aroundPasses, type Device, type Draft } from "../around-passes.js";
import { unrolledWalk } from "../loop-rounds.js";
import type { BINDINGS } from "./bindings.js";
import massesKernel from "./masses.wgsl";
import type { GazeShape } from "./problem.js";
import rowBiasKernel from "./row_bias.wgsl";
import saliencyKernel from "./saliency.wgsl";
import shiftsKernel from "./shifts.wgsl";

type Bindings<Kernel extends keyof typeof BINDINGS> = Omit<KernelBindings<typeof BINDINGS, Kernel>, "gaze">;

export interface GazeInputs extends Device {
  readonly shape: GazeShape;
  /** Where `terms` holds the content rows. */
  readonly rowsAt: number;
}

/** Keys that a thread scores together. */
const KEYS = 4;
const THREADS = 64;

interface GazeDraft extends Pick<Draft, "name" | "kernel" | "bindings" | "groups" | "work" | "bytes"> {
  /** Whether it scores. */
  readonly scores: boolean;
  /** Rounds of a thread's loops at most, where the loop over channels takes so many. */
  readonly rounds: (channels4: number) => number;
}

function dispatches(inputs: GazeInputs, { scores, rounds, ...draft }: GazeDraft): Pass[] {
  const { shape, rowsAt, capabilities } = inputs;
  const { softmax, image, question, contentRows, alpha } = shape;
  const walked = unrolledWalk({ name: draft.name, rounds, headDim: softmax.headDim, capabilities });
  const gaze = {
    image_begin: image[0],
    image_end: image[1],
    question_begin: question[0],
    question_end: question[1],
    rows_at: rowsAt,
    rows: contentRows.length,
    alpha,
  };
  const scoring = scores && {
    conditions: storageConditions(softmax, capabilities, false),
    unroll: { ...(capabilities.software && { KEYS }), ...walked },
    slots: scoreSlots(softmax),
  };
  const flops = scores ? draft.work : 0;
  return aroundPasses(softmax, { ...draft, ...scoring, flops, uniforms: { gaze } }, inputs);
}

/** Gaze shifts, and what they say of the image. */
export function planSaliency(inputs: GazeInputs): Pass[] {
  const { softmax, image, contentRows } = inputs.shape;
  const { batches, heads, headDim } = softmax;
  const keys = image[1] - image[0];
  const gazeShifts = { scratch: 0, bytes: 4 * batches * heads * keys } as const;
  return [
    ...dispatches(inputs, {
      name: "gaze/shifts",
      kernel: shiftsKernel,
      bindings: {
        q: { tensor: "q" },
        k: { tensor: "k" },
        ...maskBindings(softmax),
        lse: { tensor: "lse" },
        gaze_shifts: gazeShifts,
      } satisfies Bindings<"shifts">,
      scores: true,
      // Two rows for each, each with its query to be held.
      rounds: (channels4) => contentRows.length * (1 + 4 * channels4),
      groups: Math.ceil((batches * heads * Math.ceil(keys / KEYS)) / THREADS),
      work: THREADS * KEYS * contentRows.length * 4 * headDim,
      bytes: bytesOf(softmax.q, softmax.k) + gazeShifts.bytes,
    }),
    ...dispatches(inputs, {
      name: "gaze/saliency",
      kernel: saliencyKernel,
      bindings: {
        gaze_shifts: gazeShifts,
        averages: { scratch: 1, bytes: 4 * batches * keys },
        saliency: { tensor: "saliency" },
      } satisfies Bindings<"saliency">,
      scores: false,
      rounds: () => Math.ceil(heads / THREADS) * (keys + heads) + Math.ceil(keys / THREADS) * (heads + 3),
      groups: batches,
      work: 4 * heads * keys,
      bytes: gazeShifts.bytes,
    }),
  ];
}

/**
 * The last row's weights on image and question, and the bias that follows.
 *
 * @param bias the application's that it comes on top of, if any
 */
export function planRowBias(inputs: GazeInputs, rowBias: GPUBuffer, bias?: TensorLayout): Pass[] {
  const { softmax, image, question } = inputs.shape;
  const { bias: _, ...unbiased } = softmax;
  const added = { ...unbiased, ...(bias && { bias }) };
  const { batches, heads, headDim, tokensK } = softmax;
  const masses = { scratch: 0, bytes: 16 * batches * heads } as const;
  const keys = image[1] - image[0] + question[1] - question[0];
  const walkedKeys = Math.ceil(keys / (KEYS * THREADS)) + 1;
  return [
    ...dispatches(inputs, {
      name: "gaze/masses",
      kernel: massesKernel,
      bindings: {
        q: { tensor: "q" },
        k: { tensor: "k" },
        ...maskBindings(softmax),
        lse: { tensor: "lse" },
        saliency: { tensor: "saliency" },
        masses,
      } satisfies Bindings<"masses">,
      scores: true,
      rounds: (channels4) => walkedKeys * (1 + channels4) + channels4 + THREADS,
      groups: batches * heads,
      work: 2 * headDim * keys,
      bytes: 4 * batches * heads * keys * headDim,
    }),
    ...dispatches(
      { ...inputs, shape: { ...inputs.shape, softmax: added } },
      {
        name: "gaze/row_bias",
        kernel: rowBiasKernel,
        bindings: {
          bias: bias ? { tensor: "bias" } : { unused: true },
          saliency: { tensor: "saliency" },
          masses,
          row_bias: { buffer: rowBias },
        } satisfies Bindings<"row_bias">,
        scores: false,
        rounds: () =>
          Math.ceil(heads / THREADS) * (2 * heads + 4) + heads + Math.ceil((heads * tokensK) / THREADS),
        groups: batches,
        work: 4 * heads * tokensK,
        bytes: 4 * batches * heads * tokensK,
      },
    ),
  ];
}
