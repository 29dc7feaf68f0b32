import type { AttentionContext, TensorView } from "webgpu-attention";
import { type FlowCallOptions, flowAttention } from "webgpu-attention/flow";
import type { CaseBuffers } from "../case-buffers.js";
import { inputView } from "../case-tensors.js";
import { LayerCalls } from "../layer-calls.js";
import type { ComparedOutput, Mechanism } from "../mechanism.js";
import { numbersOf, referenceTensor, requireTensor, type VerifyCase } from "../verify-case.js";

const TOLERANCE = 1e-5;

/** The core from q, k and v, and the module around it from x, as far as the file has them. */
const runFlow: Mechanism = async (ctx, testCase, buffers) => {
  const hasCore = referenceTensor(testCase, "core") && testCase.tensors.has("q");
  const hasModule = referenceTensor(testCase, "out") && testCase.tensors.has("x_q");
  if (!hasCore && !hasModule) throw new Error("neither q and core nor x_q and out are there");
  return [
    ...(hasCore ? [await runCore(ctx, testCase, buffers)] : []),
    ...(hasModule ? [await runModule(ctx, testCase, buffers)] : []),
  ];
};

export default runFlow;

function optionsOf({ params }: VerifyCase): FlowCallOptions {
  const given = {
    causal: params.causal,
    // null says that there is none.
    clamp: params.clamp,
    epsilon: params.eps ?? undefined,
    variant: params.variant ?? undefined,
  };
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as FlowCallOptions;
}

/** The core is kept [B, L, H * D], which is the library's order. */
async function runCore(
  ctx: AttentionContext,
  testCase: VerifyCase,
  buffers: CaseBuffers,
): Promise<ComparedOutput> {
  const [q, k, v] = ["q", "k", "v"].map((name) => inputView(testCase, buffers, name)) as [
    TensorView,
    TensorView,
    TensorView,
  ];
  const [batch, tokens, heads] = q.shape;
  const shape = [batch, tokens, heads, v.shape[3]] as const;
  const out: TensorView = {
    buffer: buffers.nan(shape.reduce((a, b) => a * b)),
    dtype: "f32",
    shape,
  };
  await flowAttention(ctx, q, k, v, { ...optionsOf(testCase), out });
  return compared(ctx, testCase, "core", out);
}

/** Linear maps to q, k and v, of queries and sources or (vision) in one, and from the merged heads. */
async function runModule(
  ctx: AttentionContext,
  testCase: VerifyCase,
  buffers: CaseBuffers,
): Promise<ComparedOutput> {
  const layers = new LayerCalls(ctx, testCase, buffers);
  const heads = testCase.params.heads as number;
  const x = layers.rows(requireTensor(testCase, "x_q"));
  const sources = testCase.tensors.get("x_kv");
  const xSource = sources ? layers.rows(sources) : x;
  const split = (rows: TensorView, part = 0, parts = 1): TensorView => {
    const [batch, tokens, , all] = rows.shape;
    const width = all / parts;
    return {
      ...rows,
      shape: [batch, tokens, heads, width / heads],
      strides: [tokens * all, all, width / heads, 1],
      offset: part * width,
    };
  };
  const vision = testCase.tensors.has("w.qkv.weight");
  const inOne = vision ? await layers.linear(x, "w.qkv") : undefined;
  const project = async (part: number, name: string, from: TensorView) =>
    inOne ? split(inOne, part, 3) : split(await layers.linear(from, `w.${name}_projection`));
  const q = await project(0, "query", x);
  const k = await project(1, "key", xSource);
  const v = await project(2, "value", xSource);
  const [batch, tokens] = q.shape;
  const merged = layers.empty([batch, tokens, 1, heads * v.shape[3]]);
  await flowAttention(ctx, q, k, v, { ...optionsOf(testCase), out: split(merged) });
  return compared(ctx, testCase, "out", await layers.linear(merged, vision ? "w.proj" : "w.out_projection"));
}

async function compared(
  ctx: AttentionContext,
  testCase: VerifyCase,
  name: string,
  view: TensorView,
): Promise<ComparedOutput> {
  const expected = numbersOf(referenceTensor(testCase, name)!);
  return { name, actual: await ctx.read(view), expected, tolerance: TOLERANCE };
}
