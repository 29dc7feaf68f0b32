import { describe, expect, it, test } from "vitest";
import type { AttentionContext } from "../../src/dispatch/context.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import {
  mixtureOfHeadAttention,
  planHeadProjection,
  planHeadRouter,
  planMixtureOfHeadAttention,
  projectHeads,
  routeHeads,
} from "./index.js";
import { checkMixture, type MixtureOfHeadProblem } from "./mixture-problem.js";
import { checkProjection } from "./projection-problem.js";
import { checkRouter } from "./router-problem.js";

const capabilities = minimumCapabilities();
const layout = (...shape: Shape4): TensorLayout => ({ dtype: "f32", shape });

/** Any use of the GPU throws something that is no AttentionError. */
const ctx = { capabilities } as AttentionContext;
const any = (problem: object) => problem as never;

// 6 heads of 8 channels, 2 of them shared.
const x = layout(2, 5, 1, 16);
const q = layout(2, 5, 6, 8);
const matrix = (inner: number, outer: number) => layout(1, 1, inner, outer);
const routerWeights = { routed: matrix(16, 4), shared: matrix(16, 2), balance: matrix(16, 2) };
const choice = { sharedHeads: 2, topK: 3 };
const router = { heads: 6, ...choice, x, ...routerWeights };

describe("wrong routers are refused before any GPU call", () => {
  test.each<[string, object, string, RegExp]>([
    ["a misspelt option", { sharedHead: 1 }, "unsupported", /sharedHead/],
    ["a router of another kind", { router: "random" }, "unsupported", /router.*learned.*norm/],
    ["no heads", { heads: 0 }, "shape", /heads.*1/],
    ["more shared heads than heads", { sharedHeads: 7 }, "shape", /sharedHeads.*0 to 6/],
    ["a broken number of shared heads", { sharedHeads: 1.5 }, "shape", /sharedHeads/],
    ["top-k larger than the routed heads", { topK: 5 }, "shape", /topK.*0 to 4.*2 are shared/],
    ["a negative top-k", { topK: -1 }, "shape", /topK/],
    ["no top-k", { topK: undefined }, "shape", /topK/],
    ["no active head", { sharedHeads: 0, topK: 0, shared: undefined }, "shape", /at least one active head/],
    ["no x", { x: undefined }, "shape", /x.*tensor view/],
    ["queries for the learned router", { q }, "unsupported", /q.*norm/],
    ["x with heads", { x: layout(2, 5, 2, 8) }, "shape", /x\.shape\[2\]/],
    ["q8 input", { x: { ...x, dtype: "q8" } }, "dtype", /x\.dtype/],
    ["no routed weights", { routed: undefined }, "shape", /routed.*\[1, 1, 16, 4\].*topK/],
    ["routed weights for all heads", { routed: matrix(16, 6) }, "shape", /routed\.shape\[3\].*4/],
    ["weights of another width", { routed: matrix(8, 4) }, "shape", /routed\.shape\[2\].*16/],
    ["weights in f16", { shared: { ...matrix(16, 2), dtype: "f16" } }, "dtype", /shared\.dtype/],
    ["several shared heads without weights", { shared: undefined }, "shape", /shared.*\[1, 1, 16, 2\]/],
    ["shared weights of other heads", { shared: matrix(16, 3) }, "shape", /shared\.shape\[3\]/],
    ["shared and routed heads without balance", { balance: undefined }, "shape", /balance.*\[1, 1, 16, 2\]/],
    ["a balance of three", { balance: matrix(16, 3) }, "shape", /balance\.shape\[3\]/],
    ["routed weights without top-k", { topK: 0, balance: undefined }, "unsupported", /routed.*topK/],
    [
      "a balance without shared heads",
      { sharedHeads: 0, shared: undefined, routed: matrix(16, 6) },
      "unsupported",
      /balance.*shared heads/,
    ],
    ["gates of other heads", { gates: layout(2, 5, 8, 1) }, "shape", /gates\.shape\[2\]/],
    ["gates in f16", { gates: { ...layout(2, 5, 6, 1), dtype: "f16" } }, "dtype", /gates\.dtype/],
    ["scores of another width", { scores: layout(2, 5, 1, 6) }, "shape", /scores\.shape\[3\].*8/],
    [
      "scores with a last stride of 2",
      { scores: { ...layout(2, 5, 1, 8), strides: [80, 16, 16, 2] } },
      "shape",
      /scores\.strides/,
    ],
    ["a loss of each head", { loss: layout(1, 1, 1, 4) }, "shape", /loss\.shape/],
    ["lists that are no boolean", { lists: 1 }, "shape", /lists/],
    [
      "a loss of shared heads",
      { topK: 0, routed: undefined, balance: undefined, loss: true },
      "unsupported",
      /loss.*topK/,
    ],
  ])("%s", async (_name, changes, code, message) => {
    const planned = planHeadRouter(ctx, any({ ...router, ...changes }));
    await expect(planned).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  const norm = { heads: 6, ...choice, router: "norm", q };
  test.each<[string, object, string, RegExp]>([
    ["no queries", { q: undefined }, "shape", /q.*tensor view/],
    ["x", { x }, "unsupported", /x.*queries/],
    ["weights", { routed: matrix(16, 4) }, "unsupported", /routed.*no weights/],
    ["queries of other heads", { q: layout(2, 5, 4, 8) }, "shape", /q\.shape\[2\].*6/],
    ["wide heads", { q: layout(2, 5, 6, 257) }, "unsupported", /256/],
    ["a loss", { loss: true }, "unsupported", /loss.*norm/],
  ])("the norm router with %s", async (_name, changes, code, message) => {
    const planned = planHeadRouter(ctx, any({ ...norm, ...changes }));
    await expect(planned).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("scores of a single shared head, which has none", () => {
    const alone = { heads: 3, sharedHeads: 1, topK: 0, x };
    expect(() => checkRouter({ ...alone, scores: true }, capabilities)).toThrowError(/scores/);
    expect(checkRouter(alone, capabilities)).toMatchObject({ scoreWidth: 0, matrices: [] });
  });

  it("layouts without a buffer, in a call", async () => {
    const call = routeHeads(ctx, any(x), any(routerWeights), { heads: 6, ...choice });
    await expect(call).rejects.toMatchObject({ code: "shape", message: expect.stringMatching(/buffer/) });
  });
});

const projection = {
  attended: q,
  gates: layout(2, 5, 6, 1),
  weight: matrix(48, 16),
  bias: layout(1, 1, 1, 16),
  ...choice,
};

describe("wrong projections are refused before any GPU call", () => {
  test.each<[string, object, string, RegExp]>([
    ["a misspelt option", { topk: 1 }, "unsupported", /topk/],
    ["top-k larger than the routed heads", { topK: 5 }, "shape", /topK.*0 to 4/],
    ["gates of other tokens", { gates: layout(2, 4, 6, 1) }, "shape", /gates\.shape\[1\]/],
    ["a weight of other heads", { weight: matrix(40, 16) }, "shape", /weight\.shape\[2\].*48/],
    ["a bias of another width", { bias: layout(1, 1, 1, 8) }, "shape", /bias\.shape\[3\]/],
    ["an output of another width", { out: layout(2, 5, 1, 8) }, "shape", /out\.shape\[3\]/],
    ["a q8 output", { out: { ...layout(2, 5, 1, 16), dtype: "q8" } }, "dtype", /out\.dtype/],
    ["wide heads", { attended: layout(2, 5, 6, 300) }, "unsupported", /attended\.shape\[3\]/],
  ])("%s", async (_name, changes, code, message) => {
    const planned = planHeadProjection(ctx, any({ ...projection, ...changes }));
    await expect(planned).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("fills in the defaults", () => {
    const { sharedHeads: _s, topK: _k, ...plain } = projection;
    const shape = checkProjection(plain, capabilities);
    expect(shape).toMatchObject({ sharedHeads: 0, topK: 6, outer: 16, valueDim: 8 });
    expect(shape.out).toEqual({ dtype: "f32", shape: [2, 5, 1, 16] });
  });

  it("layouts without a buffer, in a call", async () => {
    const call = projectHeads(ctx, any(q), any(projection.gates), any(projection.weight));
    await expect(call).rejects.toMatchObject({ code: "shape", message: expect.stringMatching(/buffer/) });
  });
});

const weights = {
  ...routerWeights,
  ...{ query: matrix(16, 48), key: matrix(16, 24), value: matrix(16, 15) },
  ...{ out: matrix(30, 16), outBias: layout(1, 1, 1, 16) },
};
const whole = { x, weights, heads: 6, kvHeads: 3, ...choice };
const given = {
  ...{ x, weights: { ...routerWeights, out: matrix(48, 16) } },
  ...{ q, k: layout(2, 7, 3, 8), v: layout(2, 7, 3, 8), ...choice },
};

describe("wrong mixtures are refused before any GPU call", () => {
  test.each<[string, object, string, RegExp]>([
    ["top-k larger than the routed heads", { topK: 5 }, "shape", /topK.*0 to 4/],
    ["a misspelt option", { casual: true }, "unsupported", /mixtureOfHeadAttention option "casual"/],
    ["listed rows of the application's", { queryRows: {} }, "unsupported", /queryRows.*active tokens/],
    ["a block mask", { blockMask: {} }, "unsupported", /blockMask/],
    ["packed sequences", { queryOffsets: [0, 5] }, "unsupported", /queryOffsets/],
    ["a log-sum-exp", { lse: true }, "unsupported", /lse/],
    ["no number of heads", { heads: undefined }, "shape", /heads/],
    ["a broken number of key heads", { kvHeads: 2.5 }, "shape", /kvHeads/],
    ["queries that are no multiple of the heads", { heads: 5 }, "shape", /query\.shape\[3\].*5 heads/],
    ["unknown weights", { weights: { ...weights, gate: x } }, "unsupported", /gate/],
    ["no weights at all", { weights: undefined }, "shape", /weights/],
    ["neither k nor its weights", { weights: { ...weights, key: undefined } }, "shape", /k.*weights\.key/],
    ["both q and its weights", { q }, "unsupported", /weights\.query.*q is given/],
    [
      "q and a bias of it",
      { q, weights: { ...weights, query: undefined, queryBias: x } },
      "unsupported",
      /queryBias/,
    ],
    ["a bias of another width", { weights: { ...weights, keyBias: layout(1, 1, 1, 8) } }, "shape", /keyBias/],
    ["x in f16 to be projected", { x: { ...x, dtype: "f16" } }, "dtype", /x\.dtype/],
    ["no output weights", { weights: { ...weights, out: undefined } }, "shape", /weight/],
    [
      "output weights of other heads",
      { weights: { ...weights, out: matrix(48, 16) } },
      "shape",
      /weight\.shape\[2\].*30/,
    ],
    [
      "a loss of the norm router",
      {
        router: "norm",
        loss: true,
        weights: any({ ...weights, routed: undefined, shared: undefined, balance: undefined }),
      },
      "unsupported",
      /loss/,
    ],
    ["router weights for the norm router", { router: "norm" }, "unsupported", /routed/],
  ])("%s", async (_name, changes, code, message) => {
    const planned = planMixtureOfHeadAttention(ctx, any({ ...whole, ...changes }));
    await expect(planned).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test.each<[string, object, RegExp]>([
    ["q of other tokens than x", { q: layout(2, 4, 6, 8) }, /q\.shape\[1\].*5/],
    ["q of another batch than x", { q: layout(1, 5, 6, 8) }, /q\.shape\[0\].*2/],
    ["q of other heads than said", { heads: 8 }, /q\.shape\[2\].*8/],
    ["k of other heads than said", { kvHeads: 6 }, /k\.shape\[2\].*6/],
  ])("%s", async (_name, changes, message) => {
    const planned = planMixtureOfHeadAttention(ctx, any({ ...given, ...changes }));
    await expect(planned).rejects.toMatchObject({ code: "shape", message: expect.stringMatching(message) });
  });

  it("layouts without a buffer, in a call", async () => {
    const call = mixtureOfHeadAttention(ctx, any(x), any(weights), any({ heads: 6, kvHeads: 3, ...choice }));
    await expect(call).rejects.toMatchObject({ code: "shape", message: expect.stringMatching(/buffer/) });
  });
});

it("takes a mixture apart", () => {
  const parts = checkMixture(whole, capabilities);
  expect(parts.projections.map(({ name, heads }) => [name, heads.shape])).toEqual([
    ["q", [2, 5, 6, 8]],
    ["k", [2, 5, 3, 8]],
    ["v", [2, 5, 3, 5]],
  ]);
  // Rows of whole vec4.
  expect(parts.attention.out).toEqual({ dtype: "f32", shape: [2, 5, 6, 5], strides: [240, 48, 8, 1] });
  expect(checkMixture(given, capabilities).projections).toEqual([]);
});

it("takes undefined for left out", () => {
  const options = any({ blockMask: undefined, queryRows: undefined, lse: undefined });
  expect(() => checkMixture({ ...whole, ...(options as object) }, capabilities)).not.toThrow();
});

it("has as many key heads as v where only v is given", () => {
  const weights = { ...given.weights, key: matrix(16, 24) };
  const { projections } = checkMixture(
    { ...given, k: undefined, v: layout(2, 5, 3, 8), weights } as never,
    capabilities,
  );
  expect(projections.map(({ heads }) => heads.shape)).toEqual([[2, 5, 3, 8]]);
});

describe("lists are made for those who read them", () => {
  const software = { ...capabilities, software: true };
  const many = {
    ...given,
    x: layout(1, 64, 1, 16),
    q: layout(1, 64, 6, 8),
    k: layout(1, 64, 6, 8),
    v: layout(1, 64, 6, 8),
  };
  test.each<[string, Partial<MixtureOfHeadProblem>, boolean, boolean]>([
    ["a few tokens on a GPU", given, false, false],
    ["their loss", { ...given, loss: true }, false, true],
    ["many tokens", many, true, true],
    ["all heads", { ...many, topK: 4 }, false, false],
  ])("%s", (_name, problem, attendsToLists, lists) => {
    const parts = checkMixture(problem as MixtureOfHeadProblem, capabilities);
    expect(parts).toMatchObject({ attendsToLists, lists, router: { lists } });
  });

  it("a few tokens on a CPU", () => {
    expect(checkMixture(given, software)).toMatchObject({ attendsToLists: true, lists: true });
  });
});
