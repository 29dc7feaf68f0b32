import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutWorkgroups } from "../../src/dispatch/cut-workgroups.js";
import type { ConstantValues, KernelModule } from "../../src/dispatch/kernel-module.js";
import { bytesOf, isVec4, transposed } from "../../src/dispatch/layout.js";
import type { BindingSource, KernelBindings, Pass } from "../../src/dispatch/pass.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
import { knownConstants, variantKey } from "../../src/dispatch/specialise.js";
import { stridesOf, type TensorLayout } from "../../src/dispatch/tensor-view.js";
import type { UniformValues } from "../../src/dispatch/uniforms.js";
import { bindingRange } from "../../src/dispatch/validate.js";
import type { BINDINGS } from "./bindings.js";
import gates from "./gates.wgsl";
import lists from "./lists.wgsl";
import logits from "./logits.wgsl";
import loss from "./loss.wgsl";
import norms from "./norms.wgsl";
import type { RouterMatrix, RouterShape } from "./router-problem.js";

type Bindings<Kernel extends keyof typeof BINDINGS> = KernelBindings<typeof BINDINGS, Kernel>;

/** Slots of the context's scratch. */
const SLOTS = { scores: 0, probabilities: 1, shares: 2 };
/** Tokens and columns of a thread of `logits.wgsl`. */
const ROWS = 8;
const COLUMNS = 4;
const THREADS = 64;

/** A pass before its workgroups are cut into dispatches. */
interface Draft {
  readonly name: string;
  readonly kernel: KernelModule;
  readonly conditions?: readonly string[];
  readonly constants: ConstantValues;
  readonly bindings: Readonly<Record<string, BindingSource>>;
  readonly uniforms?: UniformValues;
  readonly groups: number;
  /** Operations of a workgroup. */
  readonly work: number;
  readonly bytes: number;
}

/** Passes of a checked router: scores, gates, lists, loss. Pure: the same problem gives the same passes. */
export function routerPasses(
  shape: RouterShape,
  capabilities: Capabilities,
  maxDispatchFlops: number,
): Pass[] {
  const drafts = [
    ...shape.matrices.map((matrix) => logitsPass(shape, matrix, capabilities)),
    ...(shape.router === "norm" && shape.topK > 0 ? [normsPass(shape, capabilities)] : []),
    gatesPass(shape),
    ...(shape.lists ? [listsPass(shape, capabilities)] : []),
    ...(shape.loss ? [lossPass(shape)] : []),
  ];
  return drafts.flatMap(
    ({ name, kernel, conditions = [], constants, bindings, uniforms, groups, work, bytes }) =>
      runPasses(
        {
          name: `moh/${name}`,
          kernel,
          variant: variantKey(kernel, conditions),
          constants: knownConstants(kernel, constants),
          bindings,
        },
        ({ first, count }) => ({
          params: { ...commonUniforms(shape, capabilities), ...uniforms, first_group: first, groups: count },
        }),
        capabilities,
        cutWorkgroups([{ work, flops: work }], groups, maxDispatchFlops),
        bytes,
      ),
  );
}

function logitsPass(
  shape: RouterShape,
  { name, layout, firstColumn }: RouterMatrix,
  capabilities: Capabilities,
): Draft {
  const { input } = shape;
  const rows = shape.batches * shape.tokens;
  const [, , inner, columns] = layout.shape;
  const [, , strideInner, strideOuter] = stridesOf(layout);
  // A driver on a CPU loses more at a barrier than sharing out channels gains.
  const LANES = capabilities.software ? 1 : rows > 64 ? 16 : 64;
  const tokens = (capabilities.software ? 16 : THREADS / LANES) * ROWS;
  const vec4 = strideInner === 1 && [input, transposed(layout)].every((one) => isVec4(one, capabilities));
  return {
    name: `logits, ${name}`,
    kernel: logits,
    conditions: [...(vec4 ? ["vec4"] : []), ...halfCondition(input)],
    constants: { LANES, THREADS: capabilities.software ? 16 : THREADS },
    bindings: {
      x: { tensor: "x" },
      weight: { tensor: name },
      scores: scoresSource(shape),
    } satisfies Bindings<"logits">,
    uniforms: {
      base_weight: bindingRange(layout, capabilities).base,
      stride_weight_inner: strideInner,
      stride_weight_outer: strideOuter,
      columns,
      first_column: firstColumn,
    },
    groups: Math.ceil(rows / tokens) * Math.ceil(columns / COLUMNS),
    work: 2 * tokens * COLUMNS * inner,
    bytes: bytesOf(input, layout) + 4 * rows * columns,
  };
}

function normsPass(shape: RouterShape, capabilities: Capabilities): Draft {
  const { input, scoreWidth } = shape;
  const scores = shape.batches * shape.tokens * scoreWidth;
  return {
    name: "norms",
    kernel: norms,
    conditions: [...(isVec4(input, capabilities) ? ["vec4"] : []), ...halfCondition(input)],
    constants: {},
    bindings: { q: { tensor: "q" }, scores: scoresSource(shape) } satisfies Bindings<"norms">,
    groups: Math.ceil(scores / THREADS),
    work: 2 * THREADS * input.shape[3],
    bytes: bytesOf(input) + 4 * scores,
  };
}

function gatesPass(shape: RouterShape): Draft {
  const { router, batches, tokens, scoreWidth, matrices } = shape;
  const has = (name: RouterMatrix["name"]) => matrices.some((matrix) => matrix.name === name);
  return {
    name: "gates",
    kernel: gates,
    constants: {
      LEARNED: router === "learned",
      SHARED_LOGITS: has("shared"),
      BALANCED: has("balance"),
      WRITE_PROBABILITIES: shape.loss !== undefined,
    },
    bindings: {
      scores: scoreWidth > 0 ? scoresSource(shape) : { unused: true },
      gates: { tensor: "gates" },
      probabilities: shape.loss ? probabilitiesSource(shape) : { unused: true },
    } satisfies Bindings<"gates">,
    groups: Math.ceil((batches * tokens) / THREADS),
    work: THREADS * (scoreWidth + 12) * scoreWidth,
    bytes: 4 * batches * tokens * scoreWidth + bytesOf(shape.gates),
  };
}

function listsPass(shape: RouterShape, capabilities: Capabilities): Draft {
  const { batches, tokens, heads } = shape;
  return {
    name: "lists",
    kernel: lists,
    constants: { THREADS: capabilities.software ? 16 : 256, WRITE_SHARES: shape.loss !== undefined },
    bindings: {
      gates: { tensor: "gates" },
      lists: { tensor: "lists" },
      probabilities: shape.loss ? probabilitiesSource(shape) : { unused: true },
      shares: shape.loss ? sharesSource(shape) : { unused: true },
    } satisfies Bindings<"lists">,
    groups: batches * heads,
    work: 2 * tokens,
    bytes: bytesOf(shape.gates) + 4 * batches * heads * tokens,
  };
}

function lossPass(shape: RouterShape): Draft {
  const sums = shape.batches * (shape.heads - shape.sharedHeads);
  return {
    name: "loss",
    kernel: loss,
    constants: {},
    bindings: { shares: sharesSource(shape), loss: { tensor: "loss" } } satisfies Bindings<"loss">,
    groups: 1,
    work: 4 * sums,
    bytes: 8 * sums,
  };
}

function halfCondition({ dtype }: TensorLayout): string[] {
  return dtype === "f16" ? ["half"] : [];
}

function scoresSource(shape: RouterShape): BindingSource {
  if (shape.scores) return { tensor: "scores" };
  return { scratch: SLOTS.scores, bytes: 4 * shape.batches * shape.tokens * shape.scoreWidth };
}

function probabilitiesSource({ batches, tokens, heads, sharedHeads }: RouterShape): BindingSource {
  return { scratch: SLOTS.probabilities, bytes: 4 * batches * tokens * (heads - sharedHeads) };
}

function sharesSource({ batches, heads, sharedHeads }: RouterShape): BindingSource {
  return { scratch: SLOTS.shares, bytes: 8 * batches * (heads - sharedHeads) };
}

function commonUniforms(shape: RouterShape, capabilities: Capabilities): UniformValues {
  const { input, scores, gates, loss, tokens, scoreWidth } = shape;
  const base = (layout?: TensorLayout) => (layout ? bindingRange(layout, capabilities).base : 0);
  const scoreStrides = scores ? stridesOf(scores) : [tokens * scoreWidth, scoreWidth];
  return {
    strides_input: stridesOf(input),
    strides_gates: stridesOf(gates),
    base_input: base(input),
    base_gates: base(gates),
    base_scores: base(scores),
    stride_scores: scoreStrides[1]!,
    stride_scores_batch: scoreStrides[0]!,
    base_weight: 0,
    stride_weight_inner: 0,
    stride_weight_outer: 0,
    columns: 0,
    first_column: 0,
    inner: input.shape[3],
    batches: shape.batches,
    tokens,
    heads: shape.heads,
    shared_heads: shape.sharedHeads,
    top_k: shape.topK,
    base_loss: base(loss),
  };
}
