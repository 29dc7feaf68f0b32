/** Memory of layers with operations on heads: all buffers that planning makes, and what their passes share. */
import { expect, it } from "vitest";
import { planningDevice } from "../../../test/support/planning-device.js";
import { AttentionContext } from "../../index.js";
import type { HeadOperation } from "../operations.js";
import { attentionCalibration, visualRedistribution } from "../sink-calibration/shift-operations.js";
import { planIntervenedAttention } from "./intervened-attention.js";

const towards = (target: "identity" | "uniform" | "meanQuery" | "argmax", path?: "logLinear" | "slerp") =>
  ({ kind: "mix", target, u: 0.4, ...(path && { path }) }) as const;
const calibration = attentionCalibration({ theta: 0.1 });
const redistribution = visualRedistribution({
  image: [20, 300],
  sinks: { hidden: { dims: [1], tau: 5 } },
});

const CASES: readonly (readonly [string, readonly (readonly HeadOperation[])[], object])[] = [
  ["calibration after SoftPAG", [[towards("identity"), calibration]], {}],
  ["calibration whose sums are carried", [[calibration]], { carried: true, receivedSums: true }],
  ["redistribution in parts", [[redistribution], []], {}],
  ["redistribution among mixes", [[redistribution], [towards("argmax")], [calibration]], {}],
  [
    "all mixes",
    [
      [towards("identity", "logLinear"), towards("identity", "slerp")],
      [towards("uniform"), towards("meanQuery")],
    ],
    {},
  ],
  [
    "equal weights and mean queries in a window",
    [[towards("uniform"), towards("meanQuery")]],
    { window: { left: 40 } },
  ],
];

/** Bytes altogether, and of the plan's own memory between passes. */
async function bytesFor(tokens: number, listed: readonly (readonly HeadOperation[])[], options: object) {
  const { device, made } = planningDevice();
  const ctx = await AttentionContext.create(device);
  const layout = { dtype: "f32", shape: [1, tokens, listed.length, 16] } as const;
  const plan = await planIntervenedAttention(ctx, {
    ...{ causal: true, ...options, q: layout, k: layout, v: layout },
    hidden: { dtype: "f32", shape: [1, tokens, 1, 8] },
    heads: new Map(listed.map((operations, head) => [head, operations] as const)),
  });
  const sum = (sizes: readonly number[]) => sizes.reduce((all, size) => all + size, 0);
  const between = sum(made.filter(({ label }) => label).map(({ size }) => size));
  expect(between).toBeGreaterThan(0);
  expect(ctx.memory().scratchBytes).toBe(between);
  const shared = new Map<number, number>();
  for (const source of plan.passes.flatMap(({ bindings }) => Object.values(bindings)))
    if ("scratch" in source)
      shared.set(source.scratch, Math.max(shared.get(source.scratch) ?? 0, source.bytes));
  plan.destroy();
  expect(ctx.memory().scratchBytes).toBe(0);
  return sum([...made.map(({ size }) => size), ...shared.values()]);
}

it.each(CASES)("is linear in the tokens, and counted: %s", async (_, listed, options) => {
  // From some 16,000 tokens on sums of keys have all of their 64 lines.
  const [half, whole] = [await bytesFor(20_000, listed, options), await bytesFor(40_000, listed, options)];
  expect(whole / half).toBeLessThan(2.05);
  // One head's pattern alone would have as many numbers as tokens squared.
  expect(whole).toBeLessThan(4 * 40_000 * 40_000);
});
