import type { AttentionError } from "webgpu-attention";
import { damaged } from "../../weights/file-errors.js";

/** Longer ones are no parts of words, and would take long to cut in two at every place. */
const LONGEST_PIECE = 128;
/** A piece of n letters has at most n - 1; those of published vocabularies have some seven letters. */
const MOST_MERGES_A_PIECE = 16;
const FEW_MERGES = 2 ** 16;
const MOST_MERGES = 2 ** 21;
/** Characters that are looked at: all of a piece for each place where it is cut. */
const MOST_CHARACTERS = 2 ** 27;

interface Merge {
  readonly piece: string;
  /** Where the second half begins. */
  readonly cut: number;
  readonly score: number;
  /** Score of the first half. */
  readonly half: number;
}

/**
 * Merges that stand for the scores of a SentencePiece vocabulary (arXiv 1808.06226): of all neighbours whose text is a piece, those of
 * the highest score are joined first. A merge is the two halves of such a piece; halves are pieces, too, or single characters.
 *
 * @param file names it in messages
 * @param pieces with their scores, but for control tokens and bytes
 * @throws AttentionError "format" for pieces that are made of each other more often than those of any language
 */
export function mergesOfScores(file: string, pieces: ReadonlyMap<string, number>): [string, string][] {
  const merges: Merge[] = [];
  const most = Math.min(Math.max(MOST_MERGES_A_PIECE * pieces.size, FEW_MERGES), MOST_MERGES);
  let characters = 0;
  for (const [piece, score] of pieces) {
    if (piece.length > LONGEST_PIECE) continue;
    characters += piece.length ** 2;
    if (characters > MOST_CHARACTERS)
      throw tooMuch(file, `pieces within ${MOST_CHARACTERS} characters to cut`);
    merges.push(...mergesOf(piece, score, pieces));
    if (merges.length > most) throw tooMuch(file, `at most ${most} merges of ${pieces.size} pieces`);
  }
  // Of one piece's cuts, the one whose first half is the likelier piece comes first, as converters to tokenizer.json have it.
  merges.sort((a, b) => b.score - a.score || b.half - a.half);
  return merges.map(({ piece, cut }) => [piece.slice(0, cut), piece.slice(cut)]);
}

function mergesOf(piece: string, score: number, pieces: ReadonlyMap<string, number>): Merge[] {
  const merges: Merge[] = [];
  const isPart = (half: string) => pieces.has(half) || isOneLetter(half);
  let cut = 0;
  for (const letter of piece) {
    cut += letter.length;
    const first = piece.slice(0, cut);
    if (cut === piece.length || !isPart(first) || !isPart(piece.slice(cut))) continue;
    merges.push({ piece, cut, score, half: pieces.get(first) ?? 0 });
  }
  return merges;
}

function isOneLetter(text: string): boolean {
  return text.length === 1 || (text.length === 2 && text.codePointAt(0)! > 0xffff);
}

function tooMuch(file: string, expected: string): AttentionError {
  return damaged(`${file} tokenizer.ggml.tokens`, expected, "more");
}
