import type { AttentionContext } from "webgpu-attention";
import {
  attentionPattern,
  type HeadOperation,
  intervenedAttention,
  type MixPath,
} from "webgpu-attention/hooks";
import type { CaseBuffers } from "../case-buffers.js";
import { inputView } from "../case-tensors.js";
import type { ComparedOutput, Mechanism } from "../mechanism.js";
import { numbersOf, referenceTensor, requireTensor, type VerifyCase } from "../verify-case.js";

const TOLERANCE = 1e-5;
/** The authors' code clamps weights where it takes logarithms. */
const TOLERANCE_LOGARITHMS = 5e-5;

/** A case's attention with one operation on its listed heads, in the file's order: [B, H, N, D]. */
async function outputOf(
  ctx: AttentionContext,
  testCase: VerifyCase,
  buffers: CaseBuffers,
  operation: HeadOperation | readonly HeadOperation[],
): Promise<Float32Array> {
  const [q, k, v] = (["q", "k", "v"] as const).map((part) => inputView(testCase, buffers, `input.${part}`));
  const causal = testCase.params.causal === true;
  const { out } = await intervenedAttention(ctx, q!, k!, v!, { causal, heads: onHeads(testCase, operation) });
  const values = await ctx.read(out);
  out.buffer.destroy();
  return headsFirst(values, out.shape);
}

function onHeads(testCase: VerifyCase, operation: HeadOperation | readonly HeadOperation[]) {
  const heads = Array.from(numbersOf(requireTensor(testCase, "input.heads")));
  return new Map(heads.map((head) => [head, operation] as const));
}

function headsFirst(
  values: Float32Array,
  [batches, tokens, heads, dim]: readonly [number, number, number, number],
): Float32Array {
  const ordered = new Float32Array(values.length);
  for (let row = 0; row < batches * tokens * heads; row++) {
    const [b, i, h] = [Math.floor(row / (tokens * heads)), Math.floor(row / heads) % tokens, row % heads];
    ordered.set(values.subarray(row * dim, (row + 1) * dim), ((b * heads + h) * tokens + i) * dim);
  }
  return ordered;
}

/** `expect.out64` has one output for each u; `expect.weights_u0.5` is a pattern. */
export const runSoftPagIdentity: Mechanism = async (ctx, testCase, buffers) => {
  const strengths = Array.from(numbersOf(requireTensor(testCase, "input.u")));
  const towards = (u: number): HeadOperation => ({ kind: "mix", target: "identity", u });
  const outputs: number[] = [];
  for (const u of strengths) outputs.push(...(await outputOf(ctx, testCase, buffers, towards(u))));
  const compared: ComparedOutput[] = [
    {
      name: "expect.out64",
      actual: outputs,
      expected: numbersOf(referenceTensor(testCase, "expect.out")!),
      tolerance: TOLERANCE,
    },
  ];
  for (const name of testCase.tensors.keys()) {
    const found = /^expect\.weights_u([\d.]+)$/.exec(name);
    if (!found) continue;
    const [q, k] = (["q", "k"] as const).map((part) => inputView(testCase, buffers, `input.${part}`));
    const actual = await attentionPattern(ctx, q!, k!, {
      rows: [0, q!.shape[1]],
      causal: testCase.params.causal === true,
      heads: onHeads(testCase, towards(Number(found[1]))),
    });
    const expected = numbersOf(requireTensor(testCase, name));
    compared.push({ name, actual, expected, tolerance: TOLERANCE });
  }
  return compared;
};

/** `expect.out64.NAME_uU`, for every target and path that the file has. */
export const runSoftPagVariants: Mechanism = async (ctx, testCase, buffers) => {
  const compared: ComparedOutput[] = [];
  for (const [name] of testCase.tensors) {
    const found = /^expect\.out64\.(.+)_u([\d.]+)$/.exec(name);
    if (!found) continue;
    const [, variant, u] = found as unknown as [string, string, string];
    const logits = temperatureOf(variant);
    const actual =
      logits === undefined
        ? await outputOf(ctx, testCase, buffers, variantOperation(variant, Number(u)))
        : await atTemperature(ctx, testCase, buffers, logits, Number(u));
    compared.push({
      name,
      actual,
      expected: numbersOf(requireTensor(testCase, name)),
      tolerance: variant === "log_linear" ? TOLERANCE_LOGARITHMS : TOLERANCE,
    });
  }
  return compared;
};

const PATHS: Readonly<Record<string, MixPath>> = {
  identity: "linear",
  fisher_rao: "fisherRao",
  fisher_rao_slerp: "slerp",
  log_linear: "logLinear",
};
const TARGETS = { uniform: "uniform", seg: "meanQuery", argmax: "argmax", zero: "zero" } as const;
function variantOperation(variant: string, u: number): HeadOperation {
  const path = PATHS[variant];
  if (path) return { kind: "mix", target: "identity", u, path };
  const target = TARGETS[variant as keyof typeof TARGETS];
  if (!target) throw new Error(`variant "${variant}" is not known`);
  return { kind: "mix", target, u };
}

/** Above this the authors' code takes the largest key itself. */
const ARGMAX_TEMPERATURE = 1e5;

/** What the authors' code multiplies scores by. */
function temperatureOf(variant: string): number | undefined {
  const logits = Number(/^temperature=([\d.e+]+)$/.exec(variant)?.[1]);
  return logits > 0 ? logits : undefined;
}

/** Between the head's own output and that of its scaled scores. */
async function atTemperature(
  ctx: AttentionContext,
  testCase: VerifyCase,
  buffers: CaseBuffers,
  logits: number,
  u: number,
): Promise<Float32Array> {
  if (logits >= ARGMAX_TEMPERATURE)
    return outputOf(ctx, testCase, buffers, { kind: "mix", target: "argmax", u });
  const scaled = await outputOf(ctx, testCase, buffers, { kind: "scale", logits });
  if (u === 1) return scaled;
  const plain = await outputOf(ctx, testCase, buffers, []);
  return scaled.map((x, n) => u * x + (1 - u) * plain[n]!);
}

/** `expect.out64.NAME`: heads of a causal model replaced by the identity, uniform weights, or nothing. */
export const runHeadMask: Mechanism = async (ctx, testCase, buffers) => {
  const compared: ComparedOutput[] = [];
  for (const [name, { shape }] of testCase.tensors) {
    const found = /^expect\.out64\.(identity|uniform|uniform_literal_1_over_N|zero)(?:_u([\d.]+))?$/.exec(
      name,
    );
    if (!found) continue;
    const [, kind, u = "1"] = found as unknown as [string, string, string | undefined];
    const target = kind.startsWith("uniform") ? "uniform" : (kind as "identity" | "zero");
    const actual = await outputOf(ctx, testCase, buffers, { kind: "mix", target, u: Number(u) });
    if (kind === "uniform_literal_1_over_N") scaleToLiteral(testCase, actual, shape);
    const expected = numbersOf(requireTensor(testCase, name));
    compared.push({ name, actual, expected, tolerance: TOLERANCE });
  }
  return compared;
};

/** From means over the visible prefix to sums over it, divided by all tokens. */
function scaleToLiteral(testCase: VerifyCase, values: Float32Array, shape: readonly number[]): void {
  const [heads, tokens, dim] = shape.slice(-3) as [number, number, number];
  const listed = new Set(Array.from(numbersOf(requireTensor(testCase, "input.heads"))));
  for (let n = 0; n < values.length; n++) {
    const [h, i] = [Math.floor(n / (tokens * dim)) % heads, Math.floor(n / dim) % tokens];
    if (listed.has(h)) values[n]! *= (i + 1) / tokens;
  }
}
