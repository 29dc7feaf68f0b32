/** Longer ones are no parts of words, and would take long to cut in two at every place. */
const LONGEST_PIECE = 128;

/**
 * Merges that stand for the scores of a SentencePiece vocabulary (arXiv 1808.06226): of all neighbours whose text is a piece, those of
 * the highest score are joined first. A merge is the two halves of such a piece; halves are pieces, too, or single characters.
 *
 * @param pieces with their scores, but for control tokens and bytes
 */
export function mergesOfScores(pieces: ReadonlyMap<string, number>): [string, string][] {
  const merges: { readonly pair: [string, string]; readonly score: number; readonly half: number }[] = [];
  for (const [piece, score] of pieces) {
    if (piece.length > LONGEST_PIECE) continue;
    const letters = Array.from(piece);
    for (let cut = 1; cut < letters.length; cut++) {
      const pair: [string, string] = [letters.slice(0, cut).join(""), letters.slice(cut).join("")];
      const isPart = (half: string, size: number) => size === 1 || pieces.has(half);
      if (!isPart(pair[0], cut) || !isPart(pair[1], letters.length - cut)) continue;
      merges.push({ pair, score, half: pieces.get(pair[0]) ?? 0 });
    }
  }
  // Of one piece's cuts, the one whose first half is the likelier piece comes first, as converters to tokenizer.json have it.
  merges.sort((a, b) => b.score - a.score || b.half - a.half);
  return merges.map(({ pair }) => pair);
}
