// What the passes of flow attention have in common: constants, uniforms, scratch, variants and the cutting of dispatches.
import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutWorkgroups, type WorkgroupRun } from "../../src/dispatch/cut-workgroups.js";
import type { ConstantValues, KernelModule } from "../../src/dispatch/kernel-module.js";
import { isVec4, layoutUniforms } from "../../src/dispatch/layout.js";
import type { BindingSource, KernelBindings, Pass } from "../../src/dispatch/pass.js";
import { powerOfTwo } from "../../src/dispatch/power-of-two.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
import { knownConstants, variantKey } from "../../src/dispatch/specialise.js";
import type { TensorLayout } from "../../src/dispatch/tensor-view.js";
import type { UniformValues } from "../../src/dispatch/uniforms.js";
import type { BINDINGS } from "./bindings.js";
import type { FlowShape } from "./problem.js";

/** What a pass has to bind; its uniforms stand apart. */
export type Bindings<Kernel extends keyof typeof BINDINGS> = KernelBindings<typeof BINDINGS, Kernel>;

/** Threads of a workgroup and tokens of a tile: TILE of `params.wgsl`. */
export const TILE = 64;
/** Rows and vec4 columns of a thread's block of a product: ROWS and COLUMNS of `params.wgsl`. */
export const ROWS = 8;
export const COLUMNS = 2;

/** Up to here e^clamp times any number of tokens is a number of f32, so that no maximum has to be known. */
const BOUNDED_CLAMP = 30;

/** Heads, of batch * heads + head, that are taken together, and how their tokens are cut. */
export interface Cut {
  readonly firstHead: number;
  readonly headCount: number;
  /** Chunks of a head's queries and keys, and tokens of a chunk. */
  readonly queries: Chunks;
  readonly keys: Chunks;
}

export interface Chunks {
  readonly count: number;
  /** Whole tiles. */
  readonly tokens: number;
}

/** A pass before its workgroups are cut into dispatches. */
export interface Draft {
  readonly name: string;
  readonly kernel: KernelModule;
  readonly bindings: Readonly<Record<string, BindingSource>>;
  /** Tensors whose rows the kernel reads or writes with its `vec4` condition, and the storage conditions. */
  readonly tensors?: readonly TensorLayout[];
  readonly conditions?: readonly string[];
  readonly side?: "queries" | "keys";
  readonly groups: number;
  /** Operations of one workgroup: as they count against the dispatch's bound, and those of products alone. */
  readonly work: number;
  readonly flops: number;
  readonly bytes: number;
}

export interface Device {
  readonly capabilities: Capabilities;
  readonly maxDispatchFlops: number;
}

/** The dispatches of one pass. */
export function dispatches(shape: FlowShape, cut: Cut, draft: Draft, device: Device): Pass[] {
  const { capabilities, maxDispatchFlops } = device;
  const { name, kernel, bindings, groups, work, flops, bytes } = draft;
  const aligned = draft.tensors?.every((layout) => isVec4(layout, capabilities)) ?? false;
  const conditions = [...(aligned ? ["vec4"] : []), ...(draft.conditions ?? [])];
  // GPU compilers unroll by themselves.
  const unroll: Record<string, number> = capabilities.software ? { ROWS, COLUMNS, DEPTH: 4, AHEAD: 8 } : {};
  const runs = cutWorkgroups([{ work, flops }], groups, maxDispatchFlops);
  const pass = {
    name,
    kernel,
    variant: variantKey(kernel, conditions),
    constants: constantsOf(shape, kernel),
    unroll,
    bindings,
  };
  const uniforms = (run: WorkgroupRun) => ({
    params: uniformsOf(shape, cut, draft.side ?? "queries", run, capabilities),
  });
  return runPasses(pass, uniforms, capabilities, runs, bytes);
}

function constantsOf(shape: FlowShape, kernel: KernelModule): ConstantValues {
  const values = {
    HEAD_DIM: shape.headDim,
    VALUE_DIM: shape.valueDim,
    COLUMN_THREADS: powerOfTwo(Math.ceil(shape.headDim / 4)),
    VALUE_THREADS: powerOfTwo(Math.ceil(shape.valueDim / 4)),
    BOUNDED: shape.clamp <= BOUNDED_CLAMP,
    HAS_STATE: shape.state !== undefined,
    WRITE_STATE: shape.stateOut !== undefined,
  };
  return knownConstants(kernel, values);
}

function uniformsOf(
  shape: FlowShape,
  cut: Cut,
  side: "queries" | "keys",
  run: { readonly first: number; readonly count: number },
  capabilities: Capabilities,
): UniformValues {
  const none: TensorLayout = { dtype: "f32", shape: [1, 1, 1, 1] };
  const { q, k, v, out, state = none, stateOut: state_out = none } = shape;
  const [own, other] = side === "queries" ? [cut.queries, cut.keys] : [cut.keys, cut.queries];
  return {
    ...layoutUniforms({ q, k, v, out, state, state_out }, capabilities),
    batches: shape.batches,
    heads: shape.heads,
    tokens_q: shape.tokensQ,
    tokens_k: shape.tokensK,
    first_head: cut.firstHead,
    head_count: cut.headCount,
    side: side === "queries" ? 0 : 1,
    chunks: own.count,
    chunk_tokens: own.tokens,
    other_chunks: other.count,
    chunk_stride: Math.max(own.count, other.count),
    epsilon: shape.epsilon,
    flow_epsilon: shape.flowEpsilon,
    clamp: Math.min(shape.clamp, 3e38),
    first_group: run.first,
    groups: run.count,
  };
}

/** Storage conditions of what is read, and of what is written. */
export function readConditions({ q }: FlowShape): string[] {
  return q.dtype === "f16" ? ["half"] : [];
}

export function writeConditions({ out }: FlowShape): string[] {
  return out.dtype === "f16" ? ["half_out"] : [];
}
