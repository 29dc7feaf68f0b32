import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { fail } from "../../../src/dispatch/check.js";
import { checkBindable, expectShape } from "../../../src/dispatch/layout.js";
import type { TensorLayout } from "../../../src/dispatch/tensor-view.js";
import type { SoftmaxProblem } from "../../softmax/index.js";
import type { ModSlots } from "../../softmax/mod-slots.js";
import { checkProblem, type SoftmaxShape } from "../../softmax/problem.js";
import { checkPlainRows } from "../plain-rows.js";
import { rowTermsLayout } from "../row-terms.js";
import { type HeadNeeds, type MixProgram, mixProgram } from "./program.js";
import type { HeadSteps } from "./types.js";

/**
 * What to plan for: the problem that softmax attention was planned for, with the layouts of its results, and the steps of its heads.
 * Packed sequences, listed query rows and block masks are not taken.
 */
export interface AttentionMixProblem extends SoftmaxProblem {
  /** The same for all batch entries, or one map for each. */
  readonly heads: HeadSteps | readonly HeadSteps[];
  /**
   * Where to leave what the mix made of the patterns, for statistics and shifts that come after: [B, Hq, Tq, 4] words; `true`: dense.
   * Heads with steps to a mean query, on a log-linear path, or to both the own position and the best key have no such terms: NaN. Default nowhere.
   */
  readonly rowTerms?: TensorLayout | boolean;
}

/** A checked problem. */
export interface MixShape {
  readonly softmax: SoftmaxShape & { readonly lse: TensorLayout };
  readonly program: MixProgram;
  readonly rowTerms?: TensorLayout;
  /** What any of the heads needs. */
  readonly uniform: boolean;
  readonly meanQuery: boolean;
  readonly curved: boolean;
  readonly path: boolean;
  readonly causal: boolean;
  /** Whether sums of values up to each key give the outputs of uniform rows. */
  readonly running: boolean;
  /** Whether one mean query stands for all rows: it is scored alike in all of them. */
  readonly meanWhole: boolean;
}

/**
 * Checks a problem without touching the GPU.
 *
 * @param mods its mods, checked already
 * @throws AttentionError "shape", "dtype", "limit", "unsupported"
 */
export function checkMix(
  problem: AttentionMixProblem,
  capabilities: Capabilities,
  mods?: ModSlots,
): MixShape {
  const { heads, rowTerms, ...attention } = problem;
  checkPlainRows("planAttentionMix", attention);
  const softmax = checkProblem({ ...attention, lse: attention.lse || true }, capabilities, mods);
  const program = mixProgram(heads, softmax.batches, softmax.heads);
  const any = (needed: (needs: HeadNeeds) => boolean) => program.needs.some(needed);
  const terms =
    rowTerms === true ? rowTermsLayout(softmax.batches, softmax.heads, softmax.tokensQ) : rowTerms;
  if (terms) {
    expectShape("rowTerms", terms, [softmax.batches, softmax.heads, softmax.tokensQ, 4], ["f32"]);
    if (terms.strides || terms.offset)
      fail("unsupported", "rowTerms", "a dense tensor", "strides or an offset", "Leave them out.");
    checkBindable({ rowTerms: terms }, capabilities);
  }
  const { bias, windowLeft, windowRight, alibi, rotary } = softmax;
  const hides = bias !== undefined || mods !== undefined;
  return {
    softmax: softmax as MixShape["softmax"],
    program,
    ...(terms && { rowTerms: terms }),
    uniform: any((needs) => needs.uniform),
    meanQuery: any((needs) => needs.meanQuery),
    curved: any((needs) => needs.curved),
    path: any((needs) => needs.path > 0),
    causal: problem.causal ?? false,
    running: !hides && windowLeft === undefined,
    meanWhole:
      !problem.causal &&
      windowLeft === undefined &&
      windowRight === undefined &&
      !alibi &&
      !rotary &&
      mods === undefined &&
      (bias === undefined || problem.bias!.shape[2] === 1),
  };
}
