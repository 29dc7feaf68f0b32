// The passes of a mix, as data: what is known of rows, sums of values, means of queries, the numbers of each row's new pattern, outputs.
import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import type { KernelModule } from "../../../src/dispatch/kernel-module.js";
import { isVec4 } from "../../../src/dispatch/layout.js";
import type { BindingSource, KernelBindings, Pass } from "../../../src/dispatch/pass.js";
import { powerOfTwo } from "../../../src/dispatch/power-of-two.js";
import { bytesPerElement } from "../../../src/dispatch/tensor-view.js";
import { maskBindings, scoreSlots } from "../../softmax/pass-parts.js";
import type { SoftmaxShape } from "../../softmax/problem.js";
import { aroundPasses, type Device, type Draft } from "../around-passes.js";
import { walkRanges } from "../loop-rounds.js";
import type { BINDINGS } from "./bindings.js";
import chunkSums from "./chunk_sums.wgsl";
import mixRows from "./mix_rows.wgsl";
import mixTerms from "./mix_terms.wgsl";
import type { MixShape } from "./problem.js";
import rowFacts from "./row_facts.wgsl";
import runningSums from "./running_sums.wgsl";

type Bindings<Kernel extends keyof typeof BINDINGS> = Omit<KernelBindings<typeof BINDINGS, Kernel>, "walk">;

const THREADS = 64;
/** Channels up to which the loop over them may be unrolled. */
const MOST_UNROLLED = 128;
const UNUSED: BindingSource = { unused: true };

/** Counts in threads what a pass has in workgroups. */
interface MixDraft extends Omit<Draft, "groups" | "work" | "flops" | "conditions"> {
  readonly threads: number;
  /** Operations of a thread at most. */
  readonly work: number;
}

function dispatches(shape: SoftmaxShape, { threads, ...draft }: MixDraft, device: Device): Pass[] {
  const work = draft.work * THREADS;
  return aroundPasses(
    shape,
    {
      ...draft,
      name: `calibration/${draft.name}`,
      conditions: storage(shape, draft.kernel, device.capabilities),
      groups: Math.ceil(threads / THREADS),
      work,
      flops: work,
    },
    device,
  );
}

/** The storage of tensors as `tensors.wgsl` knows it, by those of them that the kernel touches. */
function storage(shape: SoftmaxShape, kernel: KernelModule, capabilities: Capabilities): string[] {
  const names = new Set(kernel.variants.base!.bindings.map(({ name }) => name));
  const touched = (["q", "k", "v", "out"] as const).filter((name) => names.has(name));
  return [
    ...(touched.every((name) => isVec4(shape[name], capabilities)) ? ["vec4"] : []),
    ...(shape.q.dtype === "f16" ? ["half_q"] : []),
    ...(shape.k.dtype === "f16" ? ["half_kv"] : []),
  ];
}

function rowCount({ batches, heads, tokensQ }: SoftmaxShape): number {
  return batches * heads * tokensQ;
}

/**
 * Own scores, numbers of visible keys, best keys; or, given mean queries, their own scores beside these. Where rows walk over keys, over
 * so many in a dispatch that a workgroup stays within its bound.
 */
export function factsPass(
  mix: MixShape,
  shape: SoftmaxShape,
  buffers: { readonly facts: GPUBuffer; readonly pathTerms?: GPUBuffer; readonly q?: GPUBuffer },
  device: Device,
): Pass[] {
  const ownOnly = buffers.q !== undefined;
  const { headDim, tokensK, keyMask, bias, mods } = shape;
  const walks =
    !ownOnly &&
    mix.program.needs.some(
      ({ argmax, uniform, path }) =>
        argmax || ((uniform || path > 0) && (keyMask || bias !== undefined || mods !== undefined)),
    );
  const channels4 = Math.ceil(headDim / 4);
  // GPU compilers unroll by themselves.
  const unrolled = walks && device.capabilities.software && headDim <= MOST_UNROLLED;
  const pairWork = 2 * headDim + 48;
  const ranges = walks
    ? walkRanges(device, {
        keys: tokensK,
        work: THREADS * pairWork,
        rounds: unrolled ? 1 : 1 + channels4,
        // Its query, and its own position.
        roundsBefore: unrolled ? 0 : 2 * channels4,
      })
    : [[0, tokensK] as const];
  const draft: Omit<MixDraft, "work" | "uniforms"> = {
    name: ownOnly ? "own scores of mean queries" : "row facts",
    kernel: rowFacts,
    constants: {
      SCORED: mods?.slots.score_mod !== undefined,
      OWN_ONLY: ownOnly,
      HAS_PATH: buffers.pathTerms !== undefined,
    },
    slots: scoreSlots(shape),
    unroll: unrolled ? { HEAD_DIM4: channels4 } : {},
    bindings: {
      q: buffers.q ? { buffer: buffers.q } : { tensor: "q" },
      k: { tensor: "k" },
      ...maskBindings(shape),
      programs: { table: "programs" },
      facts: { buffer: buffers.facts },
      path_terms: buffers.pathTerms ? { buffer: buffers.pathTerms } : UNUSED,
    } satisfies Bindings<"row_facts">,
    threads: rowCount(shape),
    bytes: rowCount(shape) * (16 + headDim * bytesPerElement(shape.q.dtype)),
  };
  return ranges.flatMap(([begin, end]) =>
    dispatches(
      shape,
      { ...draft, work: (walks ? end - begin : 1) * pairWork, uniforms: { walk: { begin, end } } },
      device,
    ),
  );
}

/** Tokens of a chunk: the sums of so many chunks before it are as many additions again. */
export function chunkTokens(tokens: number): number {
  return Math.max(16, powerOfTwo(Math.sqrt(tokens)));
}

/** Sums of values over the keys up to each, or means of queries: of those so far, or of all. */
export function runningPasses(
  mix: MixShape,
  of: "queries" | "values",
  buffers: { readonly chunks: GPUBuffer; readonly sums: GPUBuffer },
  device: Device,
): Pass[] {
  const shape = mix.softmax;
  const isQueries = of === "queries";
  const [tokens, heads, dim] = isQueries
    ? [shape.tokensQ, shape.heads, shape.headDim]
    : [shape.tokensK, shape.kvHeads, shape.valueDim];
  const CHUNK = chunkTokens(tokens);
  const whole = isQueries && !mix.causal;
  const chunks = Math.ceil(tokens / CHUNK);
  const columns = shape.batches * heads * Math.ceil(dim / 4);
  const constants = { OF_QUERIES: isQueries, CHUNK, WHOLE: whole };
  const inputs = {
    q: isQueries ? ({ tensor: "q" } as const) : UNUSED,
    v: isQueries ? UNUSED : ({ tensor: "v" } as const),
    terms: isQueries ? UNUSED : ({ table: "terms" } as const),
    key_mask: !isQueries && shape.keyMask ? ({ table: "key_mask" } as const) : UNUSED,
  };
  const parts: MixDraft[] = [
    {
      name: `sums of chunks of ${of}`,
      kernel: chunkSums,
      constants,
      bindings: { ...inputs, chunk_sums: { buffer: buffers.chunks } } satisfies Bindings<"chunk_sums">,
      threads: chunks * columns,
      work: 16 * CHUNK,
      bytes: 16 * columns * (tokens + chunks),
    },
    {
      name: isQueries ? "means of queries" : "sums of values",
      kernel: runningSums,
      constants,
      bindings: {
        ...(whole ? { ...inputs, q: UNUSED } : inputs),
        chunk_sums: { buffer: buffers.chunks },
        sums: { buffer: buffers.sums },
      } satisfies Bindings<"running_sums">,
      threads: whole ? columns : chunks * columns,
      work: 16 * (whole ? chunks : chunks + CHUNK),
      bytes: 16 * columns * (whole ? chunks : 2 * tokens),
    },
  ];
  return parts.flatMap((draft) => dispatches(shape, draft, device));
}

/** Queries as f32, in rows of whole vec4: sums of chunks of one token. */
export function copyPass({ softmax: shape }: MixShape, to: GPUBuffer, device: Device): Pass[] {
  const columns = shape.batches * shape.tokensQ * shape.heads * Math.ceil(shape.headDim / 4);
  const draft: MixDraft = {
    name: "queries as f32",
    kernel: chunkSums,
    constants: { OF_QUERIES: true, CHUNK: 1 },
    bindings: {
      ...{ q: { tensor: "q" }, v: UNUSED, terms: UNUSED, key_mask: UNUSED },
      chunk_sums: { buffer: to },
    } satisfies Bindings<"chunk_sums">,
    threads: columns,
    work: 16,
    bytes: columns * (16 + 4 * bytesPerElement(shape.q.dtype)),
  };
  return dispatches(shape, draft, device);
}

export interface MixBuffers {
  readonly facts: GPUBuffer;
  readonly factors: GPUBuffer;
  readonly valueSums?: GPUBuffer;
  readonly meanOut?: GPUBuffer;
  readonly meanLse?: GPUBuffer;
  readonly pathLse?: GPUBuffer;
}

/** The numbers of the new patterns, and their outputs. */
export function mixPasses(mix: MixShape, buffers: MixBuffers, device: Device): Pass[] {
  const shape = mix.softmax;
  const held = (buffer: GPUBuffer | undefined): BindingSource => (buffer ? { buffer } : UNUSED);
  const needsLse = mix.curved || (mix.path && shape.sinks);
  const rows = rowCount(shape);
  const columns = Math.ceil(shape.valueDim / 4);
  const terms: MixDraft = {
    name: "mixed patterns",
    kernel: mixTerms,
    constants: {
      CURVED: mix.curved,
      MEAN_WHOLE: mix.meanWhole,
      RUNNING: mix.running,
      WRITE_TERMS: mix.rowTerms !== undefined,
    },
    bindings: {
      terms: { table: "terms" },
      programs: { table: "programs" },
      facts: { buffer: buffers.facts },
      lse: needsLse ? { tensor: "lse" } : UNUSED,
      mean_lse: mix.curved ? held(buffers.meanLse) : UNUSED,
      path_lse: mix.curved ? held(buffers.pathLse) : UNUSED,
      factors: { buffer: buffers.factors },
      row_terms: mix.rowTerms ? { tensor: "rowTerms" } : UNUSED,
    } satisfies Bindings<"mix_terms">,
    threads: rows,
    work: 64,
    bytes: 64 * rows,
  };
  const outputs: MixDraft = {
    name: "mixed outputs",
    kernel: mixRows,
    constants: {
      HAS_SUMS: buffers.valueSums !== undefined,
      HAS_MEAN: buffers.meanOut !== undefined,
      MEAN_WHOLE: mix.meanWhole,
    },
    bindings: {
      v: { tensor: "v" },
      out: { tensor: "out" },
      factors: { buffer: buffers.factors },
      value_sums: held(buffers.valueSums),
      mean_out: held(buffers.meanOut),
    } satisfies Bindings<"mix_rows">,
    threads: rows * columns,
    work: 32,
    bytes: 3 * rows * shape.valueDim * bytesPerElement(shape.out.dtype),
  };
  return [terms, outputs].flatMap((draft) => dispatches(shape, draft, device));
}
