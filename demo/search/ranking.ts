/** A passage by its position in the list that was searched. */
export interface Ranked {
  readonly index: number;
  /** Cosine similarity to the query, -1 to 1. */
  readonly score: number;
}

/** Cosine similarity of two embeddings of length one: their dot product. */
export function similarity(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** The `top` embeddings nearest to the query, best first; equal scores keep the order of the text. */
export function rank(query: Float32Array, embeddings: readonly Float32Array[], top: number): Ranked[] {
  return embeddings
    .map((embedding, index) => ({ index, score: similarity(query, embedding) }))
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, top);
}

/** Similarity of all pairs, [n, n]. */
export function similarityMatrix(embeddings: readonly Float32Array[]): number[][] {
  return embeddings.map((a) => embeddings.map((b) => similarity(a, b)));
}
