import type { AttentionContext, TensorView } from "webgpu-attention";
import {
  alibiSlopes,
  type FeatureMap,
  type LinearCallOptions,
  linearAttention,
  linearSlopes,
} from "webgpu-attention/linear";
import type { CaseBuffers } from "../case-buffers.js";
import { expectedOutput, inputView } from "../case-tensors.js";
import { LayerCalls } from "../layer-calls.js";
import type { ComparedOutput, Mechanism } from "../mechanism.js";
import { numbersOf, referenceTensor, requireTensor, type VerifyCase } from "../verify-case.js";

const TOLERANCE = 1e-5;

const runLightning: Mechanism = (ctx, testCase, buffers) => {
  const { kind } = testCase.params;
  if (kind === "slopes") return Promise.resolve(compareSlopes(testCase));
  if (kind === "srmsnorm") return runNorm(ctx, testCase, buffers);
  if (kind === "tnl" || testCase.tensors.has("w.q_proj.weight")) return runModule(ctx, testCase, buffers);
  if (kind === "transnormer" || testCase.tensors.has("w.qkvu")) return runTransNormer(ctx, testCase, buffers);
  return runCore(ctx, testCase, buffers);
};

export default runLightning;

/** core, recurrent, fla and linear: q, k and v are given as the sum takes them. */
async function runCore(
  ctx: AttentionContext,
  testCase: VerifyCase,
  buffers: CaseBuffers,
): Promise<ComparedOutput[]> {
  const { params, tensors } = testCase;
  const q = inputView(testCase, buffers, "q");
  const k = inputView(testCase, buffers, "k");
  const v = inputView(testCase, buffers, "v");
  const [batch, , heads, dim] = q.shape;
  const normalize = params.normalize === true;
  /** States are kept [B, H, D, Dv], the order that the library has; z may have an axis more. */
  const state = (name: string, columns: number): TensorView | undefined => {
    const tensor = tensors.get(name);
    return (
      tensor && {
        buffer: buffers.upload(numbersOf(tensor)),
        dtype: "f32",
        shape: [batch, heads, dim, columns],
      }
    );
  };
  const initial = state("initial_state", v.shape[3]);
  const initialSums = state("initial_z", 1);
  const zeros = (columns: number): TensorView => ({
    buffer: buffers.upload(new Float32Array(batch * heads * dim * columns)),
    dtype: "f32",
    shape: [batch, heads, dim, columns],
  });
  const options: LinearCallOptions = {
    ...(typeof params.scale === "number" && { scale: params.scale }),
    ...(normalize && { normalize, epsilon: params.eps as number }),
    ...featureMapOf(params.feature_map),
    ...decayOf(testCase, heads),
    ...((initial || initialSums) && {
      state: { s: initial ?? zeros(v.shape[3]), ...(normalize && { z: initialSums ?? zeros(1) }) },
    }),
    stateOut: true,
  };
  const out = expectedOutput("out", testCase, buffers);
  if (!out) throw new Error('tensor "out" is missing');
  const { stateOut: final } = await linearAttention(ctx, q, k, v, { ...options, out: out.view });
  const compared = [
    { name: "out", actual: await ctx.read(out.view), expected: out.expected, tolerance: TOLERANCE },
  ];
  for (const [name, view] of [
    ["final_state", final!.s],
    ["final_z", final!.z],
  ] as const) {
    const expected = referenceTensor(testCase, name);
    if (expected && !view) throw new Error(`tensor "${name}" is there without params.normalize`);
    if (expected && view)
      compared.push({
        name,
        actual: await ctx.read(view),
        expected: Float64Array.from(numbersOf(expected)),
        tolerance: TOLERANCE,
      });
  }
  for (const view of [final!.s, final!.z]) view?.buffer.destroy();
  return compared;
}

/** `"elu+1 (already applied)"` says what q and k have been through. */
function featureMapOf(name: unknown): { featureMap?: FeatureMap } {
  if (typeof name !== "string" || name.includes("already applied")) return {};
  return { featureMap: name as FeatureMap };
}

/** Final rates per head, or what they are made of. */
function decayOf({ params, tensors }: VerifyCase, heads: number): { decay?: readonly number[] } {
  const slopes = tensors.get("slopes");
  if (slopes) return { decay: Array.from(numbersOf(slopes)) };
  const logarithms = tensors.get("log_gamma");
  if (logarithms) return { decay: Array.from(numbersOf(logarithms), (value) => -value) };
  const layer = layerOf(params);
  if (params.kind === "fla") return { decay: linearSlopes(heads, layer!) };
  if (params.kind === "tnl" || params.kind === "transnormer" || params.decay === true)
    return { decay: alibiSlopes(heads, layer) };
  return {};
}

function layerOf(params: VerifyCase["params"]): { index: number; count: number } | undefined {
  const [index, count] = Array.isArray(params.layer) ? params.layer : [params.layer_idx, params.num_layers];
  return typeof index === "number" && typeof count === "number" ? { index, count } : undefined;
}

function compareSlopes({ tensors }: VerifyCase): ComparedOutput[] {
  return [...tensors].flatMap(([name, tensor]) => {
    const [, convention, heads, layers] = /^(slopes|tnl|fla_loggamma)_h(\d+)(?:_L(\d+))?$/.exec(name) ?? [];
    if (!convention) throw new Error(`tensor "${name}" is no table of slopes`);
    const count = Number(layers);
    const rows = layers ? Array.from({ length: count }, (_, index) => ({ index, count })) : [undefined];
    const actual = rows.flatMap((layer) =>
      convention === "fla_loggamma"
        ? linearSlopes(Number(heads), layer!).map((rate) => -rate)
        : alibiSlopes(Number(heads), layer),
    );
    return [{ name, actual, expected: numbersOf(tensor), tolerance: TOLERANCE }];
  });
}

async function runNorm(
  ctx: AttentionContext,
  testCase: VerifyCase,
  buffers: CaseBuffers,
): Promise<ComparedOutput[]> {
  const layers = new LayerCalls(ctx, testCase, buffers);
  const { eps = 1e-6 } = testCase.params as { eps?: number };
  return compareRows(ctx, testCase, await layers.rmsNorm(layers.rows(requireTensor(testCase, "x")), eps));
}

/** lightning-attention's TnlAttention: SiLU on q, k and v, LayerNorm, a sigmoid gate of two projections. */
async function runModule(
  ctx: AttentionContext,
  testCase: VerifyCase,
  buffers: CaseBuffers,
): Promise<ComparedOutput[]> {
  const layers = new LayerCalls(ctx, testCase, buffers);
  const heads = testCase.params.heads as number;
  const x = layers.rows(requireTensor(testCase, "x"));
  const split = (rows: TensorView): TensorView => {
    const [batch, tokens, , width] = rows.shape;
    return { ...rows, shape: [batch, tokens, heads, width / heads] };
  };
  const project = async (name: string) => split(await layers.linear(x, `w.${name}_proj`, "silu"));
  const [q, k, v] = [await project("q"), await project("k"), await project("v")];
  const merged = layers.empty(x.shape);
  await linearAttention(ctx, q, k, v, { ...decayOf(testCase, heads), out: split(merged) });
  const normal = await layers.layerNorm(merged, "w.norm", 1e-5);
  const gate = await layers.linear(await layers.linear(x, "w.output_gate.0"), "w.output_gate.1");
  return compareRows(
    ctx,
    testCase,
    await layers.linear(await layers.gate(normal, gate, "sigmoid"), "w.o_proj"),
  );
}

/** TransNormerLLM's released block: qkvu in one projection, SiLU on q and k, LRPE, SRMSNorm, a linear gate. */
async function runTransNormer(
  ctx: AttentionContext,
  testCase: VerifyCase,
  buffers: CaseBuffers,
): Promise<ComparedOutput[]> {
  const layers = new LayerCalls(ctx, testCase, buffers);
  const { heads, lrpe } = testCase.params as { heads: number; lrpe?: boolean };
  const x = layers.rows(requireTensor(testCase, "x"));
  const [batch, tokens, , width] = x.shape;
  const mixed = await layers.linear(x, "w.qkvu");
  const part = (index: number): TensorView => ({
    ...mixed,
    shape: [batch, tokens, heads, width / heads],
    strides: [tokens * 4 * width, 4 * width, width / heads, 1],
    offset: index * width,
  });
  const rows = (index: number): TensorView => ({
    ...part(index),
    shape: [batch, tokens, 1, width],
    strides: [tokens * 4 * width, 4 * width, width, 1],
  });
  // LRPE comes after the activation, so that has to stand before it.
  const ones = layers.rows({
    dtype: "F32",
    shape: [batch, tokens, width],
    data: new Float32Array(batch * tokens * width).fill(1),
  });
  const activated = async (index: number): Promise<TensorView> => {
    const gate = await layers.gate(ones, rows(index), "silu");
    const heads4: TensorView = { ...gate, shape: [batch, tokens, heads, width / heads] };
    return lrpe ? layers.lrpe(heads4) : heads4;
  };
  const merged = layers.empty(x.shape);
  await linearAttention(ctx, await activated(0), await activated(1), part(2), {
    ...decayOf(testCase, heads),
    out: { ...merged, shape: [batch, tokens, heads, width / heads] },
  });
  const gated = await layers.gate(await layers.rmsNorm(merged, 1e-6), rows(3), "none");
  return compareRows(ctx, testCase, await layers.linear(gated, "w.out"));
}

async function compareRows(
  ctx: AttentionContext,
  testCase: VerifyCase,
  out: TensorView,
): Promise<ComparedOutput[]> {
  const expected = referenceTensor(testCase, "out");
  if (!expected) throw new Error('tensor "out" is missing');
  return [{ name: "out", actual: await ctx.read(out), expected: numbersOf(expected), tolerance: TOLERANCE }];
}
