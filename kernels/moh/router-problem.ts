import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { checkBoolean, expectEqual, fail } from "../../src/dispatch/check.js";
import { checkBindable, checkHeadDims, expectShape } from "../../src/dispatch/layout.js";
import { type Shape4, stridesOf, type TensorLayout } from "../../src/dispatch/tensor-view.js";
import { checkLayout, checkOptions } from "../../src/dispatch/validate.js";
import { checkHeadChoice, type HeadChoice } from "./head-choice.js";

/** `"learned"`: softmaxes of linear maps of x (MoH-ViT, MoH-DiT). `"norm"`: the longest queries, with gates of 1 (MoH-LLaMA). */
export type RouterKind = "learned" | "norm";

/**
 * The learned router's matrices, [1, 1, C, columns] f32. A matrix stored [columns, C] row-major, as PyTorch has it, is this with
 * strides [0, 0, 1, C].
 */
export interface RouterWeights<Tensor extends TensorLayout = TensorLayout> {
  /** A column for each routed head (W_g). Needed where topK > 0. */
  readonly routed?: Tensor;
  /** A column for each shared head (W_1). Needed where there are several; a single one has the constant gate 1 without. */
  readonly shared?: Tensor;
  /** Two columns, shared against routed heads (W_0). Needed where there are both. */
  readonly balance?: Tensor;
}

export interface RouterOptions extends HeadChoice {
  /** Query heads H. */
  readonly heads: number;
  /** Default `"learned"`. */
  readonly router?: RouterKind;
}

/** What to plan for: tensor layouts (a `TensorView` is one) and options. */
export interface HeadRouterProblem extends RouterOptions, RouterWeights {
  /** [B, T, 1, C] f32 or f16, what the learned router looks at: the attention's own input. */
  readonly x?: TensorLayout;
  /** [B, T, H, D] f32 or f16, what the norm router looks at: queries before any rotation. */
  readonly q?: TensorLayout;
  /** [B, T, H, 1] f32. Default dense. */
  readonly gates?: TensorLayout;
  /**
   * Where to write what the router decides by, [B, T, 1, L] f32: logits of the routed heads (topK > 0), of the shared heads and of
   * the balance, as far as there are matrices; or the squared norms of the routed heads' queries. `true`: dense. Default nowhere.
   */
  readonly scores?: TensorLayout | boolean;
  /** Where to write the load-balance loss of the routed heads, [1, 1, 1, 1] f32. `true`: dense. Default nowhere. */
  readonly loss?: TensorLayout | boolean;
  /** Whether to write the lists of active tokens; the loss needs them. Default true. */
  readonly lists?: boolean;
}

/** One matrix of a learned router and where its logits stand among the scores. */
export interface RouterMatrix {
  readonly name: "routed" | "shared" | "balance";
  readonly layout: TensorLayout;
  readonly firstColumn: number;
}

/** A checked problem with every default filled in. Plain data: the planner needs nothing else. */
export interface RouterShape extends HeadChoice {
  readonly router: RouterKind;
  readonly batches: number;
  readonly tokens: number;
  readonly heads: number;
  /** x or q. */
  readonly input: TensorLayout;
  readonly matrices: readonly RouterMatrix[];
  /** Scores of a token: L. */
  readonly scoreWidth: number;
  readonly gates: TensorLayout;
  readonly scores?: TensorLayout;
  readonly loss?: TensorLayout;
  readonly lists: boolean;
}

export const WEIGHT_NAMES = ["routed", "shared", "balance"] as const;
const NAMES = [
  "heads",
  "sharedHeads",
  "topK",
  "router",
  "x",
  "q",
  "gates",
  "scores",
  "loss",
  "lists",
] as const;

/**
 * Checks a problem without touching the GPU.
 *
 * @throws AttentionError "shape", "dtype", "limit", or "unsupported" for options it does not know or cannot combine
 */
export function checkRouter(problem: HeadRouterProblem, capabilities: Capabilities): RouterShape {
  checkOptions("headRouter", problem, [...NAMES, ...WEIGHT_NAMES]);
  const { heads, sharedHeads, topK, router = "learned", lists = true } = problem;
  if (router !== "learned" && router !== "norm")
    fail("unsupported", "router", '"learned" or "norm"', router, "Leave it out for the learned router.");
  checkHeadChoice(heads, problem);
  checkBoolean("lists", lists);
  const input = router === "norm" ? checkedQueries(problem) : checkedInput(problem);
  const [batches, tokens] = input.shape;
  const matrices = router === "norm" ? [] : checkedMatrices(problem, input.shape[3]);
  const scoreWidth =
    router === "norm"
      ? topK && heads - sharedHeads
      : matrices.reduce((sum, { layout }) => sum + layout.shape[3], 0);

  const gatesShape: Shape4 = [batches, tokens, heads, 1];
  const gates = problem.gates ?? { dtype: "f32", shape: gatesShape };
  expectShape("gates", gates, gatesShape, ["f32"]);
  const scores = checkedScores(problem.scores, [batches, tokens, 1, scoreWidth]);
  const loss = checkedLoss(problem, router);
  checkBindable(
    { input, gates, scores, loss, lists: listsLayout([batches, tokens, heads, 1]) },
    capabilities,
  );
  const common = {
    router,
    batches,
    tokens,
    heads,
    sharedHeads,
    topK,
    input,
    matrices,
    scoreWidth,
    gates,
    lists: lists || loss !== undefined,
  };
  return { ...common, ...(scores && { scores }), ...(loss && { loss }) };
}

/** The lists as the tensor checks know them: their elements are four bytes, and kernels say that they are u32. */
export function listsLayout([batches, tokens, heads]: Shape4): TensorLayout {
  return { dtype: "f32", shape: [batches, heads, 1, 1 + tokens] };
}

function checkedInput({ x, q }: HeadRouterProblem): TensorLayout {
  if (q !== undefined)
    fail("unsupported", "q", 'none with router: "learned"', "queries", 'Give x, or router: "norm".');
  checkLayout("x", x!, ["f32", "f16"]);
  expectEqual("x.shape[2]", x!.shape[2], 1, "one row of channels a token");
  return x!;
}

function checkedQueries(problem: HeadRouterProblem): TensorLayout {
  const { q, x, heads } = problem;
  for (const [name, value] of Object.entries({ x, ...weightsOf(problem) })) {
    if (value !== undefined)
      fail(
        "unsupported",
        name,
        'none with router: "norm"',
        "a tensor",
        "That router looks at queries and has no weights.",
      );
  }
  checkLayout("q", q!, ["f32", "f16"]);
  expectEqual("q.shape[2] (heads)", q!.shape[2], heads, "the number of heads");
  checkHeadDims({ q: q! });
  return q!;
}

function weightsOf({
  routed,
  shared,
  balance,
}: RouterWeights): Record<RouterMatrix["name"], TensorLayout | undefined> {
  return { routed, shared, balance };
}

function checkedMatrices(problem: HeadRouterProblem, inner: number): RouterMatrix[] {
  const { heads, sharedHeads, topK } = problem;
  const both = sharedHeads > 0 && topK > 0;
  const wanted = {
    routed: { columns: heads - sharedHeads, needed: topK > 0, allowed: topK > 0, when: "topK is above 0" },
    shared: {
      columns: sharedHeads,
      needed: sharedHeads > 1,
      allowed: sharedHeads > 0,
      when: "there are shared heads",
    },
    balance: { columns: 2, needed: both, allowed: both, when: "there are shared heads and topK is above 0" },
  };
  const matrices: RouterMatrix[] = [];
  let firstColumn = 0;
  for (const name of WEIGHT_NAMES) {
    const { columns, needed, allowed, when } = wanted[name];
    const layout = problem[name];
    const expected = `[1, 1, ${inner}, ${columns}]`;
    if (layout === undefined) {
      if (needed)
        fail("shape", name, `a matrix ${expected}`, "none", `The learned router needs it where ${when}.`);
      continue;
    }
    if (!allowed)
      fail("unsupported", name, "none", "a matrix", `It has a meaning only where ${when}: leave it out.`);
    expectShape(name, layout, [1, 1, inner, columns], ["f32"]);
    matrices.push({ name, layout, firstColumn });
    firstColumn += columns;
  }
  return matrices;
}

function checkedScores(given: HeadRouterProblem["scores"], shape: Shape4): TensorLayout | undefined {
  if (given === undefined || given === false) return undefined;
  if (shape[3] === 0)
    fail(
      "unsupported",
      "scores",
      "a router that has scores",
      "none",
      "A single shared head is always on: leave scores out.",
    );
  const layout: TensorLayout = given === true ? { dtype: "f32", shape } : given;
  expectShape("scores", layout, shape, ["f32"]);
  if (stridesOf(layout)[3] !== 1)
    fail(
      "shape",
      "scores.strides",
      "a last stride of 1",
      `[${stridesOf(layout)}]`,
      "Leave strides out for dense scores.",
    );
  return layout;
}

function checkedLoss({ loss, topK }: HeadRouterProblem, router: RouterKind): TensorLayout | undefined {
  if (loss === undefined || loss === false) return undefined;
  if (router === "norm" || topK === 0)
    fail(
      "unsupported",
      "loss",
      "a learned router with topK above 0",
      `router "${router}", topK ${topK}`,
      "Leave the loss out.",
    );
  const layout: TensorLayout = loss === true ? { dtype: "f32", shape: [1, 1, 1, 1] } : loss;
  expectShape("loss", layout, [1, 1, 1, 1], ["f32"]);
  return layout;
}
