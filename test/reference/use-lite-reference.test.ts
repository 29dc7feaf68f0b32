import { beforeAll, describe, expect, test } from "vitest";
import { UnigramTokenizer } from "../../src/transformer/unigram-tokenizer.js";
import edges from "../fixtures/use-lite/edge-embeddings.json" with { type: "json" };
import golden from "../fixtures/use-lite/sentences.json" with { type: "json" };
import { readUseLiteVocabulary, readUseLiteWeights } from "./use-lite-files.js";
import { type UseLiteWeights, useLiteReference } from "./use-lite-reference.js";

/** The fixtures have seven decimals; the official runtime computes in float32. */
const TOLERANCE = 1e-5;

/** The reference needs seconds for 128 tokens. */
const TIMEOUT_MS = 60_000;

let weights: UseLiteWeights;
beforeAll(async () => {
  weights = await readUseLiteWeights();
});

const tokenizer = new UnigramTokenizer(readUseLiteVocabulary());

function expectEmbedding(ids: readonly number[], expected: readonly number[]): void {
  const embedding = useLiteReference(weights, ids);
  const largest = expected.reduce((max, value, i) => Math.max(max, Math.abs(value - embedding[i]!)), 0);
  expect(embedding).toHaveLength(512);
  expect(largest).toBeLessThan(TOLERANCE);
}

test("every byte of the published shards belongs to a tensor", () => {
  expect([...weights.values()].reduce((bytes, { data }) => bytes + data.byteLength, 0)).toBe(27_903_656);
});

describe("embeddings of the official runtime", () => {
  test.each(golden.sentences.map((sentence, i) => [sentence, i] as const))("%s", (_, i) => {
    expectEmbedding(golden.ids[i]!, golden.embeddings[i]!);
  });

  // Unknown tokens, more than 128 tokens, a single token, a text that opens with a colon, the empty sentence.
  test.each(edges.cases)(
    "$sentence",
    ({ sentence, embedding }) => {
      expectEmbedding(tokenizer.encode(sentence), embedding);
    },
    TIMEOUT_MS,
  );
});
