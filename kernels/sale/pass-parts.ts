// What the passes of SALE's selection have in common: constants, uniforms, variants and the cutting of dispatches.
import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutWorkgroups, type WorkgroupRun } from "../../src/dispatch/cut-workgroups.js";
import type { ConstantValues, KernelModule } from "../../src/dispatch/kernel-module.js";
import { isVec4, layoutUniforms } from "../../src/dispatch/layout.js";
import type { BindingSource, KernelBindings, Pass } from "../../src/dispatch/pass.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
import { knownConstants, variantKey } from "../../src/dispatch/specialise.js";
import type { TensorLayout } from "../../src/dispatch/tensor-view.js";
import type { UniformValues } from "../../src/dispatch/uniforms.js";
import type { BINDINGS } from "./bindings.js";
import { CHUNK, hitWords, rowsOf } from "./memory.js";
import type { SaleShape } from "./problem.js";

/** What a pass has to bind; its uniforms stand apart. */
export type Bindings<Kernel extends keyof typeof BINDINGS> = KernelBindings<typeof BINDINGS, Kernel>;

/** Threads of a workgroup of the passes whose threads share nothing: THREADS of `params.wgsl`. */
export const THREADS = 64;

/** A pass before its workgroups are cut into dispatches. */
export interface Draft {
  readonly name: string;
  readonly kernel: KernelModule;
  readonly bindings: Readonly<Record<string, BindingSource>>;
  /** Tensors whose rows the kernel reads with its `vec4` condition, by their storage. */
  readonly tensors?: readonly TensorLayout[];
  readonly conditions?: readonly string[];
  readonly side?: "queries" | "keys";
  readonly constants?: ConstantValues;
  readonly unroll?: Readonly<Record<string, number>>;
  /** Work and products of the workgroups of one round, in the order of their index, and rounds. */
  readonly round: readonly { readonly work: number; readonly flops: number }[];
  readonly repeats: number;
  readonly bytes: number;
}

export interface Device {
  readonly capabilities: Capabilities;
  readonly maxDispatchFlops: number;
}

/** A round of one for passes whose threads each do the same. */
export function evenWork(threads: number, flops: number, work = flops): Pick<Draft, "round" | "repeats"> {
  const group = { flops: THREADS * flops, work: THREADS * work };
  return { round: [group], repeats: Math.ceil(threads / THREADS) };
}

/** The dispatches of one pass. */
export function dispatches(
  shape: SaleShape,
  draft: Draft,
  { capabilities, maxDispatchFlops }: Device,
): Pass[] {
  const { name, kernel, bindings, tensors = [], conditions = [], round, repeats, bytes } = draft;
  const aligned = tensors.every((layout) => isVec4(layout, capabilities));
  const half = tensors.some(({ dtype }) => dtype === "f16");
  const chosen = [...(aligned ? ["vec4"] : []), ...(half ? ["half"] : []), ...conditions];
  const pass = {
    name,
    kernel,
    variant: variantKey(kernel, chosen),
    constants: {
      ...knownConstants(kernel, { HEAD_DIM: shape.headDim, BLOCK_K: shape.blockK }),
      ...draft.constants,
    },
    unroll: draft.unroll ?? {},
    bindings,
  };
  const uniforms = (run: WorkgroupRun) => ({
    params: uniformsOf(shape, draft.side ?? "queries", run, capabilities),
  });
  return runPasses(pass, uniforms, capabilities, cutWorkgroups(round, repeats, maxDispatchFlops), bytes);
}

function uniformsOf(
  shape: SaleShape,
  side: "queries" | "keys",
  run: WorkgroupRun,
  capabilities: Capabilities,
): UniformValues {
  const { q, k } = shape;
  return {
    ...layoutUniforms({ q, k }, capabilities),
    batches: shape.batches,
    heads: shape.heads,
    kv_heads: shape.kvHeads,
    tokens: shape.tokens,
    rows: rowsOf(shape),
    chunks: Math.ceil(shape.tokens / CHUNK),
    hit_words: hitWords(shape),
    segment_blocks: shape.segmentBlocks,
    local_blocks: shape.localBlocks,
    scale: shape.scale,
    side: side === "queries" ? 0 : 1,
    first_group: run.first,
    groups: run.count,
  };
}
