import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import { testContext } from "../../../test/support/gpu.js";
import { normalArray, randomSource } from "../../../test/support/random.js";
import type { AttentionContext, TensorView } from "../../index.js";
import { captureActivations, patchActivations } from "../activations/activation-hooks.js";
import { perturbHeads, softPag, ZERO_HEAD } from "../head-perturbation/perturbation.js";
import { interventionReference } from "../reference/intervene.js";
import {
  type AttentionHook,
  type AttentionSite,
  operationsAt,
  planHookedAttention,
} from "./attention-hook.js";
import { attentionPattern } from "./attention-pattern.js";

const site: AttentionSite = { layer: 2, mechanism: "softmax", phase: "prefill", positions: [0, 14] };
const shape = [2, 14, 3, 8] as const;
const random = randomSource(9);
const made = { q: normalArray(672, random), k: normalArray(672, random), v: normalArray(672, random) };

let ctx: AttentionContext;
let tensors: Record<"q" | "k" | "v" | "out" | "lse", TensorView>;
beforeAll(async () => {
  ctx = await testContext();
  tensors = {
    q: ctx.fromArray(made.q, shape),
    k: ctx.fromArray(made.k, shape),
    v: ctx.fromArray(made.v, shape),
    out: ctx.empty(shape),
    lse: ctx.empty([2, 14, 3, 1]),
  };
});
afterAll(() => {
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
});

async function outputWith(...hooks: readonly AttentionHook[]): Promise<Float32Array> {
  const plan = await planHookedAttention(ctx, site, { ...tensors, causal: true }, hooks);
  await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
  plan.destroy();
  return ctx.read(tensors.out);
}

const dense = (data: Float32Array) => ({ data, shape });
const inputs = { q: dense(made.q), k: dense(made.k), v: dense(made.v), causal: true };

describe("hooks at a site", () => {
  it("act together, in their order", async () => {
    const first = perturbHeads([{ layer: 2, head: 0 }], softPag());
    const second = perturbHeads(
      [
        { layer: 2, head: 0 },
        { layer: 2, head: 2 },
        { layer: 1, head: 1 },
      ],
      [
        { kind: "scale", logits: 2 },
        { kind: "gain", output: 0.5 },
      ],
    );
    const scale = { kind: "scale", logits: 2 } as const;
    const gain = { kind: "gain", output: 0.5 } as const;
    const heads = new Map([
      [0, [scale, softPag(), gain]],
      [2, [scale, gain]],
    ]);
    const expected = interventionReference({ ...inputs, heads }).out;
    expect(difference(await outputWith(first, second), expected).maxRelative).toBeLessThan(1e-5);
  });

  it("put the plain and the perturbed pass into one batch", async () => {
    const plain = await outputWith();
    const both = await outputWith(
      perturbHeads([{ layer: 2, head: 1 }], ZERO_HEAD, { entries: [1], batches: 2 }),
    );
    expect(both.subarray(0, 336)).toEqual(plain.subarray(0, 336));
    for (let n = 336; n < 672; n++) expect(both[n]).toBe(Math.floor(n / 8) % 3 === 1 ? 0 : plain[n]);
  });

  it("record behind attention", async () => {
    const seen: string[] = [];
    const hook: AttentionHook = {
      after: ({ layer }, encoder, { out, lse }) => {
        seen.push(`${layer} ${lse === tensors.lse}`);
        encoder.clearBuffer(out.buffer);
      },
    };
    expect((await outputWith(hook)).every((x) => x === 0)).toBe(true);
    expect(seen).toEqual(["2 true"]);
  });

  it("refuse sites without softmax, where they have operations", () => {
    const linear = { ...site, mechanism: "linear" };
    const unsupported = expect.objectContaining({ code: "unsupported" });
    const hook = perturbHeads([{ layer: 2, head: 0 }], softPag());
    expect(() => operationsAt(linear, tensors, [hook])).toThrow(unsupported);
    expect(operationsAt({ ...linear, layer: 0 }, tensors, [hook])).toBeUndefined();
  });
});

describe("activations", () => {
  it("are captured by name, and patched into another run", async () => {
    const capture = captureActivations(ctx, { names: ["q", "headOutput"], layers: [2] });
    const clean = await outputWith(capture);
    const headOutput = capture.get(2, "headOutput")!;
    expect(await ctx.read(headOutput)).toEqual(clean);
    expect(await ctx.read(capture.get(2, "q")!)).toEqual(made.q);
    expect(capture.get(2, "v")).toBeUndefined();

    const zeroed = perturbHeads(
      [0, 1, 2].map((head) => ({ layer: 2, head })),
      ZERO_HEAD,
    );
    const patch = patchActivations([
      {
        layer: 2,
        name: "headOutput",
        operation: { kind: "patch", source: headOutput, heads: [1], tokens: [3, 5] },
      },
    ]);
    const patched = await outputWith(zeroed, patch);
    for (let n = 0; n < 672; n++) {
      const [token, head] = [Math.floor(n / 24) % 14, Math.floor(n / 8) % 3];
      expect(patched[n]).toBe(head === 1 && (token === 3 || token === 4) ? clean[n] : 0);
    }
    const whole = patchActivations([
      { layer: 2, name: "headOutput", operation: { kind: "patch", source: headOutput } },
    ]);
    expect(await outputWith(zeroed, whole)).toEqual(clean);
    capture.destroy();
  });

  it("are refused where they do not fit", () => {
    const code = (name: string) => expect.objectContaining({ code: name });
    expect(() => captureActivations(ctx, { names: ["query" as never] })).toThrow(code("unsupported"));
    const source = { ...tensors.q, shape: [2, 14, 1, 8] as const };
    const patch = patchActivations([{ layer: 2, name: "q", operation: { kind: "patch", source } }]);
    const encoder = ctx.device.createCommandEncoder();
    expect(() => patch.activation!(site, "q", encoder, tensors.q)).toThrow(code("shape"));
  });
});

describe("attentionPattern", () => {
  it("gives exact rows after operations", async () => {
    const heads = new Map([
      [1, [softPag({ u: 0.4, path: "slerp" as const }), { kind: "gain", output: 0.5 } as const]],
    ]);
    const { maps } = interventionReference({ ...inputs, heads });
    const rows = await attentionPattern(ctx, tensors.q, tensors.k, { rows: [4, 9], causal: true, heads });
    const expected = maps.flat().flatMap(({ weights }) => [...weights.subarray(4 * 14, 9 * 14)]);
    expect(difference(rows, expected).maxAbsolute).toBeLessThan(1e-6);
  });

  it("computes only the rows that are asked for where nothing looks at others", async () => {
    const { maps } = interventionReference(inputs);
    const rows = await attentionPattern(ctx, tensors.q, tensors.k, { rows: [13, 14], causal: true });
    const expected = maps.flat().flatMap(({ weights }) => [...weights.subarray(13 * 14)]);
    expect(difference(rows, expected).maxAbsolute).toBeLessThan(1e-6);
    const shapeError = expect.objectContaining({ code: "shape" });
    await expect(attentionPattern(ctx, tensors.q, tensors.k, { rows: [13, 15] })).rejects.toThrow(shapeError);
  });
});
