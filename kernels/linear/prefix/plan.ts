import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { cutWorkgroups, type WorkgroupRun } from "../../../src/dispatch/cut-workgroups.js";
import type { KernelModule } from "../../../src/dispatch/kernel-module.js";
import { bytesOf, isVec4, layoutUniforms } from "../../../src/dispatch/layout.js";
import type { BindingSource, KernelBindings, Pass } from "../../../src/dispatch/pass.js";
import { powerOfTwo } from "../../../src/dispatch/power-of-two.js";
import { runPasses } from "../../../src/dispatch/run-passes.js";
import { knownConstants, variantKey } from "../../../src/dispatch/specialise.js";
import type { TensorLayout } from "../../../src/dispatch/tensor-view.js";
import { FEATURE_MAPS } from "../options.js";
import type { BINDINGS } from "./bindings.js";
import chunkSums from "./chunk_sums.wgsl";
import outputs from "./outputs.wgsl";
import type { PrefixSoftmaxShape } from "./problem.js";
import scan from "./scan.wgsl";
import scores from "./scores.wgsl";
import { cutHeads, type HeadCut } from "./scratch.js";

type Bindings<Kernel extends keyof typeof BINDINGS> = KernelBindings<typeof BINDINGS, Kernel>;

const THREADS = 64;
/** Tokens that a thread takes at least one after another. */
const LEAST_CHUNK = 32;
/** What an exponential counts as, in operations. */
const EXPONENTIAL = 8;

/** How tokens are cut: as many chunks as a chunk has tokens, or half of it, are the fewest steps one after another. */
export function chunksOf(tokens: number): { readonly count: number; readonly tokens: number } {
  const chunk = Math.max(LEAST_CHUNK, powerOfTwo(Math.sqrt(tokens)));
  return { count: Math.ceil(tokens / chunk), tokens: chunk };
}

/**
 * Passes of a checked problem: scores of keys; then, where there is more than one chunk, sums of each and a scan over them; then the outputs of all
 * chunks. Pure: the same problem gives the same passes.
 */
export function planPrefixSoftmax(
  shape: PrefixSoftmaxShape,
  capabilities: Capabilities,
  maxDispatchFlops = Number.POSITIVE_INFINITY,
): Pass[] {
  const drafts = (cut: HeadCut): Draft[] => [
    scoresPass(shape, cut),
    ...(cut.chunks.count > 1 ? [chunkSumsPass(shape, cut, capabilities), scanPass(shape, cut)] : []),
    outputsPass(shape, cut, capabilities),
  ];
  return cutHeads(shape, capabilities, chunksOf(shape.tokens)).flatMap((cut) =>
    drafts(cut).flatMap((draft) => dispatches(shape, cut, draft, capabilities, maxDispatchFlops)),
  );
}

interface Draft {
  readonly kernel: KernelModule;
  readonly bindings: Readonly<Record<string, BindingSource>>;
  /** Tensors whose rows the kernel reads or writes. */
  readonly tensors: readonly TensorLayout[];
  readonly groups: number;
  /** Operations of all workgroups. */
  readonly flops: number;
  readonly bytes: number;
}

const lengths: BindingSource = { table: "lengths" };
const none: BindingSource = { unused: true };

function scoresPass({ q, k, tokens, headDim, batches, heads }: PrefixSoftmaxShape, cut: HeadCut): Draft {
  const { headCount, scratch } = cut;
  return {
    kernel: scores,
    bindings: {
      lengths,
      q: { tensor: "q" },
      k: { tensor: "k" },
      scores: scratch.scores,
    } satisfies Bindings<"scores">,
    tensors: [q, k],
    groups: headCount * Math.ceil(tokens / THREADS),
    flops: headCount * tokens * headDim * (2 + EXPONENTIAL),
    bytes: (bytesOf(q, k) * headCount) / (batches * heads) + 4 * headCount * tokens,
  };
}

function chunkSumsPass(shape: PrefixSoftmaxShape, cut: HeadCut, capabilities: Capabilities): Draft {
  const { v, batches, heads } = shape;
  const { headCount, chunks, scratch } = cut;
  const threads = headCount * (chunks.count - 1) * columnGroups(shape, capabilities);
  return {
    kernel: chunkSums,
    bindings: {
      lengths,
      scores: scratch.scores,
      v: { tensor: "v" },
      sums: scratch.sums,
    } satisfies Bindings<"chunk_sums">,
    tensors: [v],
    groups: Math.ceil(threads / THREADS),
    flops: threads * chunks.tokens * tokenFlops(shape, capabilities),
    bytes:
      (bytesOf(v) * headCount) / (batches * heads) + headCount * (4 * shape.tokens + sumBytes(shape, cut)),
  };
}

function scanPass(shape: PrefixSoftmaxShape, cut: HeadCut): Draft {
  const { headCount, chunks, scratch } = cut;
  const threads = headCount * Math.ceil(shape.valueDim / 4);
  return {
    kernel: scan,
    bindings: { state: stateBinding(shape), sums: scratch.sums } satisfies Bindings<"scan">,
    tensors: [],
    groups: Math.ceil(threads / THREADS),
    flops: threads * chunks.count * (12 + 2 * EXPONENTIAL),
    bytes: 2 * headCount * sumBytes(shape, cut),
  };
}

function outputsPass(shape: PrefixSoftmaxShape, cut: HeadCut, capabilities: Capabilities): Draft {
  const { v, out, state, stateOut, batches, heads } = shape;
  const { headCount, chunks, scratch } = cut;
  const threads = headCount * chunks.count * columnGroups(shape, capabilities);
  return {
    kernel: outputs,
    bindings: {
      lengths,
      scores: scratch.scores,
      v: { tensor: "v" },
      sums: chunks.count > 1 ? scratch.sums : none,
      state: stateBinding(shape),
      state_out: stateOut ? { tensor: "stateOut" } : none,
      out: { tensor: "out" },
    } satisfies Bindings<"outputs">,
    tensors: [v, out],
    groups: Math.ceil(threads / THREADS),
    flops: threads * Math.min(chunks.tokens, shape.tokens) * (tokenFlops(shape, capabilities) + 4),
    bytes:
      (bytesOf(v, out, state, stateOut) * headCount) / (batches * heads) +
      headCount * (4 * shape.tokens + sumBytes(shape, cut)),
  };
}

function stateBinding({ state }: PrefixSoftmaxShape): BindingSource {
  return state ? { tensor: "state" } : none;
}

function sumBytes({ valueDim }: PrefixSoftmaxShape, { chunks }: HeadCut): number {
  return (chunks.count - 1) * (16 + 4 * valueDim);
}

/** vec4 columns of a thread. On a CPU the exponentials cost most, on a GPU it is few threads that do. */
function columnsOf({ valueDim }: PrefixSoftmaxShape, { software }: Capabilities): number {
  return software ? Math.min(8, Math.ceil(valueDim / 4)) : 1;
}

function columnGroups(shape: PrefixSoftmaxShape, capabilities: Capabilities): number {
  return Math.ceil(Math.ceil(shape.valueDim / 4) / columnsOf(shape, capabilities));
}

/** Of a thread and a token: two exponentials, and two operations on each column. */
function tokenFlops(shape: PrefixSoftmaxShape, capabilities: Capabilities): number {
  return 2 * EXPONENTIAL + 12 * columnsOf(shape, capabilities);
}

/** The dispatches of one pass. */
function dispatches(
  shape: PrefixSoftmaxShape,
  cut: HeadCut,
  { kernel, bindings, tensors, groups, flops, bytes }: Draft,
  capabilities: Capabilities,
  maxDispatchFlops: number,
): Pass[] {
  const aligned = tensors.length > 0 && tensors.every((layout) => isVec4(layout, capabilities));
  const COLUMNS = columnsOf(shape, capabilities);
  const constants = knownConstants(kernel, {
    HEAD_DIM: shape.headDim,
    VALUE_DIM: shape.valueDim,
    COLUMNS,
    ACTIVATION: FEATURE_MAPS.indexOf(shape.activation),
    HAS_STATE: shape.state !== undefined,
    WRITE_STATE: shape.stateOut !== undefined,
  });
  const pass = {
    name: `linear/prefix/${kernel.name.split("/").at(-1)}`,
    kernel,
    variant: variantKey(kernel, [
      ...(aligned ? ["vec4"] : []),
      ...(shape.q.dtype === "f16" ? ["half"] : []),
      ...(shape.out.dtype === "f16" ? ["half_out"] : []),
    ]),
    constants,
    ...("COLUMNS" in constants && { unroll: { COLUMNS } }),
    bindings,
  };
  const uniforms = uniformsOf(shape, cut, capabilities);
  const each = flops / groups;
  return runPasses(
    pass,
    ({ first, count }: WorkgroupRun) => ({ params: { ...uniforms, first_group: first, groups: count } }),
    capabilities,
    cutWorkgroups([{ work: each, flops: each }], groups, maxDispatchFlops),
    bytes,
  );
}

function uniformsOf(shape: PrefixSoftmaxShape, cut: HeadCut, capabilities: Capabilities) {
  const absent: TensorLayout = { dtype: "f32", shape: [1, 1, 1, 1] };
  const { q, k, v, out, state = absent, stateOut: state_out = absent } = shape;
  return {
    ...layoutUniforms({ q, k, v, out, state, state_out }, capabilities),
    tokens: shape.tokens,
    heads: shape.heads,
    group: shape.group,
    first_head: cut.firstHead,
    head_count: cut.headCount,
    chunks: cut.chunks.count,
    chunk_tokens: cut.chunks.tokens,
    scale: shape.scale,
  };
}
