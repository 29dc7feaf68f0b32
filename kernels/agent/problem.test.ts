import { describe, expect, test } from "vitest";
import type { AttentionContext } from "../../src/dispatch/context.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { agentAttention, planAgentAttention, planPoolAgents, poolAgents } from "./index.js";
import { checkAgentProblem } from "./problem.js";

const capabilities = minimumCapabilities();
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });

/** Any use of the GPU throws something that is no AttentionError. */
const ctx = { capabilities } as AttentionContext;

const x = layout(2, 12, 3, 8);
const v = layout(2, 12, 3, 6);
const agents = layout(2, 4, 3, 8);
const plain = { q: x, agents, k: x, v };
const depthwise = { weight: layout(1, 9, 3, 6), grid: [3, 4] };
const pool = { grid: [3, 4], pool: 2 };
const windows = { image: [3, 4], size: [3, 2] };
const half = (of: TensorLayout): TensorLayout => ({ ...of, dtype: "f16" });
const any = (problem: object) => problem as never;

describe("wrong problems are refused before any GPU call", () => {
  test.each<[string, object, string, RegExp]>([
    ["a misspelt option", { secondscale: 1 }, "unsupported", /secondscale/],
    ["causal", { causal: true }, "unsupported", /causal.*later tokens/],
    ["causal that is no boolean", { causal: 1 }, "shape", /causal/],
    ["k of another batch", { k: layout(1, 12, 3, 8) }, "shape", /k\.shape\[0\].*2/],
    ["k of fewer heads", { k: layout(2, 12, 1, 8) }, "shape", /k\.shape\[2\].*3/],
    ["k of another width", { k: layout(2, 12, 3, 4) }, "shape", /k\.shape\[3\].*8/],
    ["v of another length", { v: layout(2, 11, 3, 6) }, "shape", /v\.shape\[1\].*12/],
    ["v of other heads", { v: layout(2, 12, 2, 6) }, "shape", /v\.shape\[2\].*3/],
    ["k of another type", { k: half(x) }, "dtype", /k\.dtype/],
    ["v of another type", { v: half(v) }, "dtype", /v\.dtype/],
    ["q8 keys", { k: { ...x, dtype: "q8" } }, "dtype", /k\.dtype/],
    ["wide heads", { q: layout(2, 12, 3, 257), k: layout(2, 12, 3, 257) }, "unsupported", /256/],
    ["wide values", { v: layout(2, 12, 3, 300) }, "unsupported", /v\.shape\[3\].*256/],
    ["an output of k's width", { out: x }, "shape", /out\.shape\[3\].*6/],
    ["a q8 output", { out: { ...v, dtype: "q8" } }, "dtype", /out\.dtype/],
    ["no agents", { agents: undefined }, "shape", /agents/],
    ["agents of another batch", { agents: layout(1, 4, 3, 8) }, "shape", /agents\.shape\[0\].*2/],
    ["agents of other heads", { agents: layout(2, 4, 1, 8) }, "shape", /agents\.shape\[2\]/],
    ["agents of another width", { agents: layout(2, 4, 3, 6) }, "shape", /agents\.shape\[3\].*8/],
    ["a pool of another grid", { agents: { ...pool, grid: [4, 4] } }, "shape", /agents\.grid.*12 places.*16/],
    [
      "a pool that forgets the class token",
      { agents: { ...pool, classToken: true } },
      "shape",
      /11 places.*12/,
    ],
    ["a pool without a grid", { agents: { pool: 2 } }, "shape", /agents\.grid.*rows, columns/],
    ["a pool of nothing", { agents: { ...pool, pool: 0 } }, "shape", /agents\.pool/],
    ["a pool of half a bin", { agents: { ...pool, pool: [2, 1.5] } }, "shape", /agents\.pool/],
    ["a misspelt pool", { agents: { ...pool, clsToken: true } }, "unsupported", /clsToken/],
    ["an infinite scale", { scale: Number.POSITIVE_INFINITY }, "shape", /scale/],
    ["a second scale that is no number", { secondScale: "1" }, "shape", /secondScale/],
    ["a shortcut that is no number", { shortcut: Number.NaN }, "shape", /shortcut/],
    [
      "a shortcut of other keys",
      { shortcut: 1, k: layout(2, 5, 3, 8), v: layout(2, 5, 3, 6) },
      "shape",
      /12.*5/,
    ],
    [
      "an agent bias of heads last",
      { agentBias: layout(1, 4, 3, 12) },
      "shape",
      /agentBias\.shape\[1\].*\[batch, heads, agents, keys\]/,
    ],
    [
      "a query bias of the wrong way round",
      { queryBias: layout(1, 3, 4, 12) },
      "shape",
      /queryBias\.shape\[2\].*queries, agents/,
    ],
    ["a bias in f16", { agentBias: half(layout(1, 3, 4, 12)) }, "dtype", /agentBias\.dtype/],
    ["a convolution without weights", { depthwise: { grid: [3, 4] } }, "shape", /depthwise\.weight/],
    [
      "weights of other heads",
      { depthwise: { ...depthwise, weight: layout(1, 9, 1, 6) } },
      "shape",
      /depthwise\.weight\.shape\[2\]/,
    ],
    [
      "weights of 5 x 5 taps",
      { depthwise: { ...depthwise, weight: layout(1, 25, 3, 6) } },
      "shape",
      /depthwise\.weight\.shape\[1\].*9/,
    ],
    [
      "weights in f16",
      { depthwise: { ...depthwise, weight: half(depthwise.weight) } },
      "dtype",
      /depthwise\.weight/,
    ],
    [
      "a bias of the convolution of another width",
      { depthwise: { ...depthwise, bias: layout(1, 1, 3, 8) } },
      "shape",
      /depthwise\.bias/,
    ],
    [
      "a convolution of another grid",
      { depthwise: { ...depthwise, grid: [3, 3] } },
      "shape",
      /depthwise\.grid.*12 places.*9/,
    ],
    [
      "a key grid of another size",
      { depthwise: { ...depthwise, keyGrid: [2, 2] } },
      "shape",
      /depthwise\.keyGrid.*12 places.*keys/,
    ],
    [
      "a class token that is no boolean",
      { depthwise: { ...depthwise, classToken: 1 } },
      "shape",
      /classToken/,
    ],
    ["a misspelt convolution", { depthwise: { ...depthwise, keygrid: [3, 4] } }, "unsupported", /keygrid/],
    ["windows of another image", { windows: { ...windows, image: [4, 4] } }, "shape", /q\.shape\[1\].*16/],
    [
      "windows that do not tile the image",
      { windows: { ...windows, size: [2, 2] } },
      "shape",
      /windows\.size\[0\].*3/,
    ],
    ["windows whose agents are an image's", { windows }, "shape", /agents\.shape\[0\].*4/],
    ["windows whose pool is an image's", { windows, agents: pool }, "shape", /agents\.grid.*6 places/],
    [
      "windows pooled the other way round",
      { windows, agents: { grid: [2, 3], pool: 2 } },
      "shape",
      /agents\.grid.*3,2/,
    ],
    [
      "windows convolved the other way round",
      { windows, agents: { grid: [3, 2], pool: 2 }, depthwise: { ...depthwise, grid: [2, 3] } },
      "shape",
      /depthwise\.grid.*3,2/,
    ],
  ])("%s", async (_name, changes, code, message) => {
    const problem = any({ ...plain, ...changes });
    await expect(planAgentAttention(ctx, problem)).rejects.toThrow(message);
    await expect(planAgentAttention(ctx, problem)).rejects.toMatchObject({ code });
    const { q, k, v, agents, ...options } = { ...plain, ...changes } as Record<string, unknown>;
    const call = agentAttention(ctx, any(q!), any(agents as object), any(k!), any(v!), any(options));
    await expect(call).rejects.toMatchObject({ code });
  });

  test("a tensor beyond a binding", async () => {
    const small = {
      capabilities: minimumCapabilities({ maxStorageBufferBindingSize: 1024 }),
    } as AttentionContext;
    await expect(planAgentAttention(small, plain)).rejects.toThrow(/q: expected at most 1024 bytes/);
  });

  test("a tensor without a buffer", async () => {
    const views = any({ ...x });
    await expect(agentAttention(ctx, views, any(agents), views, any(v))).rejects.toThrow(/q\.buffer/);
    await expect(poolAgents(ctx, views, any(pool))).rejects.toThrow(/q\.buffer/);
  });

  test.each<[string, object, string, RegExp]>([
    ["a misspelt option", { ...pool, pol: 1 }, "unsupported", /pol/],
    ["another grid", { ...pool, grid: [3, 5] }, "shape", /poolAgents\.grid.*12 places.*15/],
    ["no pool", { grid: [3, 4] }, "shape", /poolAgents\.pool/],
    ["an output of another size", { ...pool, out: layout(2, 5, 3, 8) }, "shape", /out\.shape\[1\].*4/],
    ["an output in f16", { ...pool, out: half(agents) }, "dtype", /out\.dtype/],
    ["wide heads", { ...pool, q: layout(2, 12, 3, 300) }, "unsupported", /256/],
    ["windows of another grid", { ...pool, windows }, "shape", /6 places/],
  ])("pooling with %s", async (_name, problem, code, message) => {
    await expect(planPoolAgents(ctx, any({ q: x, ...problem }))).rejects.toThrow(message);
    await expect(planPoolAgents(ctx, any({ q: x, ...problem }))).rejects.toMatchObject({ code });
  });
});

describe("defaults", () => {
  test("of the plain form", () => {
    const shape = checkAgentProblem(plain, capabilities);
    expect(shape).toMatchObject({ scale: 8 ** -0.5, secondScale: 8 ** -0.5, agents: 4, entries: 2 });
    expect(shape.out).toEqual({ dtype: "f32", shape: [2, 12, 3, 6] });
    expect(checkAgentProblem({ ...plain, scale: 2 }, capabilities).secondScale).toBe(2);
    expect(
      checkAgentProblem({ ...plain, causal: false, shortcut: 0 }, capabilities).shortcut,
    ).toBeUndefined();
  });

  test("windows are entries", () => {
    const problem = any({ ...plain, agents: { grid: [3, 2], pool: 2 }, windows });
    expect(checkAgentProblem(problem, capabilities)).toMatchObject({
      entries: 4,
      tokensQ: 6,
      tokensK: 6,
      agents: 4,
    });
  });
});
