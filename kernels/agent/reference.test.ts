import { describe, expect, it } from "vitest";
import { difference } from "../../test/support/compare.js";
import { goldenFiles } from "../../test/support/golden.js";
import { swapAxes } from "../../test/support/swap-axes.js";
import { goldenModule } from "./golden-modules.js";
import {
  agentAttentionReference,
  cutWindows,
  type DenseTensor,
  poolAgentsReference,
  windowTokens,
} from "./reference.js";

describe("agentAttentionReference", () => {
  it.each(goldenFiles("agent"))("agrees with the authors' code: $file", (file) => {
    const { params, inputs, project } = goldenModule(file);
    const expectClose = (name: string, actual: ArrayLike<number>) => {
      const tensor = file.tensors.get(name);
      // What remains is the float32 rounding of the authors' code.
      if (tensor)
        expect(difference(actual, tensor.data as Float32Array).maxRelative, name).toBeLessThan(2e-6);
    };
    const result = agentAttentionReference(inputs);
    const order =
      params.variant === "cswin" ? windowOrder(params.B, params.resolution!, params.window!) : undefined;
    const channels = params.C;
    const core = order ? scatter(result, order, channels) : result;
    expectClose("out", project(core));
    if (file.tensors.has("core")) expectClose("core", core);

    const { shape, data } = inputs.agents;
    const [batches, agents, heads, dim] = shape;
    expectClose("agent_tokens", swapAxes(data, [batches, agents, heads, dim]));
    expectClose("dwc_out", convolutionOnly(inputs));
  });

  const one = (data: readonly number[]): DenseTensor => ({ data, shape: [1, data.length, 1, 1] });
  const flat = { q: one([0, 0]), agents: one([0, 0]), k: one([0, 0, 0]), v: one([1, 10, 100]) };
  const bias = (data: readonly number[], rows: number): DenseTensor => ({
    data,
    shape: [1, 1, rows, data.length / rows],
  });

  it("hides from an agent what its bias hides, and gives agents and queries that see nothing zeros", () => {
    const hidden = -Infinity;
    const agentBias = bias([0, hidden, 0, hidden, hidden, hidden], 2);
    const queryBias = bias([0, hidden, hidden, hidden], 2);
    expect([...agentAttentionReference({ ...flat, agentBias })]).toEqual([50.5 / 2, 50.5 / 2]);
    expect([...agentAttentionReference({ ...flat, agentBias, queryBias })]).toEqual([50.5, 0]);
  });

  it("scales both scores, and adds a shortcut", () => {
    const given = { q: one([1, 2]), agents: one([1, -1]), k: one([1, 0]), v: one([1, 10]) };
    const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
    const [first, second] = [1, -1].map((agent) => 10 + (1 - 10) * sigmoid(2 * agent)) as [number, number];
    const expected = (q: number) => second + (first - second) * sigmoid(2 * 0.5 * q);
    const out = agentAttentionReference({ ...given, scale: 2, secondScale: 0.5, shortcut: 3 });
    expect(out[0]).toBeCloseTo(expected(1) + 3, 12);
    expect(out[1]).toBeCloseTo(expected(2) + 30, 12);
  });

  it("convolves an image with zeros around it, and leaves the class token out", () => {
    const hidden = bias([-Infinity], 1);
    const v = one([1000, 1, 2, 3, 4]);
    const depthwise = {
      weight: [1, 2, 3, 4, 5, 6, 7, 8, 9],
      bias: [0.5],
      grid: [2, 2],
      classToken: true,
    } as const;
    const q = one([0, 0, 0, 0, 0]);
    const out = agentAttentionReference({ q, k: q, agents: one([0]), v, agentBias: hidden, depthwise });
    const at = (...taps: [weight: number, pixel: number][]) => taps.reduce((sum, [w, p]) => sum + w * p, 0.5);
    expect([...out]).toEqual([
      0,
      at([5, 1], [6, 2], [8, 3], [9, 4]),
      at([4, 1], [5, 2], [7, 3], [8, 4]),
      at([2, 1], [3, 2], [5, 3], [6, 4]),
      at([1, 1], [2, 2], [4, 3], [5, 4]),
    ]);
  });
});

describe("poolAgentsReference", () => {
  it("has bins that overlap where sizes do not divide", () => {
    const q: DenseTensor = { data: [9, 0, 1, 2, 3, 4, 5, 6], shape: [1, 8, 1, 1] };
    const { data } = poolAgentsReference(q, { grid: [1, 7], bins: [1, 3], classToken: true });
    expect([...data]).toEqual([1, 3, 5]);
  });
});

/** The terms of V alone: with every key hidden from every agent. As [entries, C, rows, columns], without the class token. */
function convolutionOnly(inputs: ReturnType<typeof goldenModule>["inputs"]): Float64Array {
  const hidden: DenseTensor = { data: [-Infinity], shape: [1, 1, 1, 1] };
  const out = agentAttentionReference({ ...inputs, agentBias: hidden });
  const [batches, tokens, heads] = inputs.q.shape;
  const channels = heads * inputs.v.shape[3];
  const first = inputs.depthwise?.classToken ? channels : 0;
  const patches = Array.from({ length: batches }, (_, b) => [
    ...out.subarray(b * tokens * channels + first, (b + 1) * tokens * channels),
  ]).flat();
  return swapAxes(patches, [batches, tokens - first / channels, channels, 1]);
}

function windowOrder(batches: number, resolution: number, size: readonly [number, number]): number[] {
  return windowTokens(batches, [resolution, resolution], size);
}

function scatter(rows: ArrayLike<number>, order: readonly number[], channels: number): Float64Array {
  const out = new Float64Array(rows.length);
  order.forEach((token, place) => {
    for (let c = 0; c < channels; c++) out[token * channels + c] = rows[place * channels + c]!;
  });
  return out;
}

describe("cutWindows", () => {
  it("orders windows and their tokens row by row", () => {
    const image: DenseTensor = { data: Array.from({ length: 8 }, (_, n) => n), shape: [1, 8, 1, 1] };
    const { data, shape } = cutWindows(image, [2, 4], [2, 2]);
    expect([...(data as Float64Array)]).toEqual([0, 1, 4, 5, 2, 3, 6, 7]);
    expect(shape).toEqual([2, 4, 1, 1]);
  });
});
