import {
  allHeads,
  attentionInfluence,
  copiedTokenScore,
  type Head,
  headSearch,
  retrievalHeads,
} from "webgpu-attention/hooks";
import type { ComparedOutput, Mechanism } from "../mechanism.js";
import { numbersOf, requireTensor } from "../verify-case.js";

const TOLERANCE = 1e-9;

/** The objective is a sum over heads, and over pairs of them, for each sample. */
export const runHeadHunter: Mechanism = async (_ctx, testCase) => {
  const { L, H, M, R, k } = testCase.params as Record<"L" | "H" | "M" | "R" | "k", number>;
  const numbers = (name: string) => numbersOf(requireTensor(testCase, name));
  const [unary, pair] = [numbers("input.unary"), numbers("input.pair")];
  const objective = (heads: readonly Head[], sample: number) => {
    const flat = heads.map(({ layer, head }) => layer * H + head);
    return flat.reduce((total, a, index) => {
      const pairs = flat.slice(0, index).reduce((sum, b) => sum + pair[a * L * H + b]!, 0);
      return total + unary[sample * L * H + a]! + pairs;
    }, 0);
  };
  const { heads, rounds } = await headSearch({
    candidates: allHeads(L, H),
    rounds: R,
    topK: k,
    samples: M,
    objective,
  });
  const flat = heads.map(({ layer, head }) => layer * H + head);
  const after = rounds.map((_, round) => {
    const chosen = heads.slice(0, (round + 1) * k);
    return Array.from({ length: M }, (_, m) => objective(chosen, m)).reduce((a, b) => a + b) / M;
  });
  const compared = (name: string, actual: ArrayLike<number>): ComparedOutput => ({
    name,
    actual,
    expected: numbers(name),
    tolerance: TOLERANCE,
  });
  return [
    compared("expect.rounds", flat),
    compared(
      "expect.layer_head",
      heads.flatMap(({ layer, head }) => [layer, head]),
    ),
    compared("expect.objective_after_round", after),
    {
      name: "expect.scores",
      ...comparable(
        rounds.flatMap(({ scores }) => scores),
        numbers("expect.scores"),
      ),
      tolerance: TOLERANCE,
    },
  ];
};

/** Heads that have no score any more are 1 on both sides where both say so. */
function comparable(scores: readonly (number | null)[], expected: ArrayLike<number>) {
  return {
    actual: scores.map((score, index) => score ?? (Number.isNaN(expected[index]) ? 1 : Number.NaN)),
    expected: Array.from(expected, (value, index) =>
      Number.isNaN(value) && scores[index] === null ? 1 : value,
    ),
  };
}

/** Scores of heads from the keys with most weight, and of texts from two losses. */
export const runAttentionInfluence: Mechanism = async (_ctx, testCase) => {
  const numbers = (name: string) => numbersOf(requireTensor(testCase, name));
  const [heads, steps, keys] = requireTensor(testCase, "input.weights").shape as [number, number, number];
  const weights = Array.from(numbers("input.weights"));
  const argmaxKeys = (head: number) =>
    Array.from({ length: steps }, (_, step) => {
      const row = weights.slice((head * steps + step) * keys, (head * steps + step + 1) * keys);
      return row.indexOf(Math.max(...row));
    });
  const tokens = numbers("input.tokens");
  const answer = numbers("input.answer_tokens");
  const { scores } = await retrievalHeads({
    candidates: allHeads(1, heads),
    observe: (candidates) =>
      candidates.map(({ head }) => copiedTokenScore({ tokens, answer, argmaxKeys: argmaxKeys(head) })),
  });
  const [base, masked] = [numbers("input.loss_base"), numbers("input.loss_reference")];
  const influence = await attentionInfluence({
    texts: base.length,
    loss: (text, isMasked) => (isMasked ? masked : base)[text]!,
  });
  return [
    {
      name: "expect.retrieval_score",
      actual: scores.map(({ score }) => score),
      expected: numbers("expect.retrieval_score"),
      tolerance: TOLERANCE,
    },
    {
      name: "expect.influence",
      actual: influence,
      expected: numbers("expect.influence"),
      tolerance: TOLERANCE,
    },
  ];
};
