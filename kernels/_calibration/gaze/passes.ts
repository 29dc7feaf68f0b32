import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { cutWorkgroups, type WorkgroupRun } from "../../../src/dispatch/cut-workgroups.js";
import type { KernelModule } from "../../../src/dispatch/kernel-module.js";
import { bytesOf } from "../../../src/dispatch/layout.js";
import type { BindingSource, KernelBindings, Pass } from "../../../src/dispatch/pass.js";
import { runPasses } from "../../../src/dispatch/run-passes.js";
import { variantKey } from "../../../src/dispatch/specialise.js";
import {
  maskBindings,
  problemConstants,
  problemUniforms,
  scoreSlots,
  storageConditions,
} from "../../softmax/pass-parts.js";
import type { BINDINGS } from "./bindings.js";
import massesKernel from "./masses.wgsl";
import type { GazeShape } from "./problem.js";
import rowBiasKernel from "./row_bias.wgsl";
import saliencyKernel from "./saliency.wgsl";
import shiftsKernel from "./shifts.wgsl";

type Bindings<Kernel extends keyof typeof BINDINGS> = Omit<KernelBindings<typeof BINDINGS, Kernel>, "gaze">;

export interface GazeInputs {
  readonly shape: GazeShape;
  /** Where `terms` holds the content rows. */
  readonly rowsAt: number;
  readonly capabilities: Capabilities;
  readonly maxDispatchFlops: number;
}

/** Keys that a thread scores together. */
const KEYS = 4;
const THREADS = 64;

interface Draft {
  readonly name: string;
  readonly kernel: KernelModule;
  readonly bindings: Readonly<Record<string, BindingSource>>;
  /** Whether it scores. */
  readonly scores: boolean;
  readonly groups: number;
  readonly work: number;
  readonly bytes: number;
}

function dispatches({ shape, rowsAt, capabilities, maxDispatchFlops }: GazeInputs, draft: Draft): Pass[] {
  const { softmax, image, question, contentRows, alpha } = shape;
  const { name, kernel, bindings, scores, groups, work, bytes } = draft;
  const unroll: Record<string, number> = scores && capabilities.software ? { KEYS } : {};
  const pass = {
    name,
    kernel,
    variant: variantKey(kernel, scores ? storageConditions(softmax, capabilities, false) : []),
    constants: problemConstants(softmax, kernel),
    unroll,
    ...(scores && scoreSlots(softmax)),
    bindings,
  };
  const uniforms = (run: WorkgroupRun) => ({
    params: problemUniforms(softmax, capabilities, run),
    gaze: {
      image_begin: image[0],
      image_end: image[1],
      question_begin: question[0],
      question_end: question[1],
      rows_at: rowsAt,
      rows: contentRows.length,
      alpha,
    },
  });
  const runs = cutWorkgroups([{ work, flops: scores ? work : 0 }], groups, maxDispatchFlops);
  return runPasses(pass, uniforms, capabilities, runs, bytes);
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
      groups: batches,
      work: 4 * heads * keys,
      bytes: gazeShifts.bytes,
    }),
  ];
}

/** The last row's weights on image and question, and the bias that follows. */
export function planRowBias(inputs: GazeInputs, rowBias: GPUBuffer): Pass[] {
  const { softmax, image, question } = inputs.shape;
  const { batches, heads, headDim, tokensK } = softmax;
  const masses = { scratch: 0, bytes: 16 * batches * heads } as const;
  const keys = image[1] - image[0] + question[1] - question[0];
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
      groups: batches * heads,
      work: 2 * headDim * keys,
      bytes: 4 * batches * heads * keys * headDim,
    }),
    ...dispatches(inputs, {
      name: "gaze/row_bias",
      kernel: rowBiasKernel,
      bindings: {
        bias: softmax.bias ? { tensor: "bias" } : { unused: true },
        saliency: { tensor: "saliency" },
        masses,
        row_bias: { buffer: rowBias },
      } satisfies Bindings<"row_bias">,
      scores: false,
      groups: batches,
      work: 4 * heads * tokensK,
      bytes: 4 * batches * heads * tokensK,
    }),
  ];
}
