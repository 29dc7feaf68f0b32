import { AttentionError } from "webgpu-attention";

/** One entry per token id: the piece and its log-probability. A missing score (null) counts as 0. */
export type UnigramVocabulary = readonly (readonly [piece: string, score: number | null])[];

/** Stands for a space inside pieces and opens every non-empty text. */
const WORD_BOUNDARY = "\u2581";

/** Ids 0 to 5 are the unknown token and control symbols: text that spells one of them must not produce its id. */
const RESERVED_PIECES = 6;

const UNKNOWN = 0;

/** More than the largest code point, so that `node * CODE_POINTS + codePoint` is unique. */
const CODE_POINTS = 0x110000;

/**
 * Text to token ids for the 8000-piece vocabulary of Universal Sentence Encoder Lite, id for id what its official
 * JavaScript runtime gives: NFKC, then the most probable segmentation (Viterbi), unknown characters in a row as one id 0.
 *
 * `@huggingface/tokenizers` 0.2.0 reads this vocabulary but differs on text that opens with a colon (":) hi"): the
 * published file has null scores for pieces such as "▁:" and the official runtime, on which the model's users
 * depend, takes a best score of exactly 0 for "nothing found yet". Hence this Viterbi.
 */
export class UnigramTokenizer {
  /** Edges of the trie: `node * CODE_POINTS + codePoint` to node; the root is 0. */
  readonly #edges = new Map<number, number>();
  /** Token id that ends at a node, or -1. */
  readonly #idAt: number[] = [-1];
  readonly #scores: Float64Array;
  /** Length of each piece in code points. */
  readonly #lengths: Int32Array;

  /**
   * @param vocabulary pieces in the order of their ids; the first six are reserved, and of equal pieces the last counts.
   * @throws AttentionError "format" when an entry is not `[piece, score]`, or there is no room for the reserved ones.
   */
  constructor(vocabulary: UnigramVocabulary) {
    checkVocabulary(vocabulary);
    this.#scores = Float64Array.from(vocabulary, ([, score]) => score ?? 0);
    this.#lengths = new Int32Array(vocabulary.length).fill(1);
    for (let id = RESERVED_PIECES; id < vocabulary.length; id++) {
      const piece = toCodePoints(vocabulary[id]![0]);
      this.#lengths[id] = piece.length;
      this.#insert(piece, id);
    }
  }

  /**
   * Token ids of a text, in order; none for the empty text. Time is linear in the length of the text.
   * The ids are not cut to the model's longest input.
   */
  encode(text: string): number[] {
    const normalized = text.normalize("NFKC");
    if (normalized.length === 0) return [];
    const symbols = toCodePoints(WORD_BOUNDARY + normalized.replaceAll(" ", WORD_BOUNDARY));
    return this.#backtrack(this.#segment(symbols));
  }

  #insert(piece: Uint32Array, id: number): void {
    let node = 0;
    for (const codePoint of piece) {
      const edge = node * CODE_POINTS + codePoint;
      let child = this.#edges.get(edge);
      if (child === undefined) {
        child = this.#idAt.push(-1) - 1;
        this.#edges.set(edge, child);
      }
      node = child;
    }
    this.#idAt[node] = id;
  }

  /** For each end position, the id of the last piece on the best way there. [symbols + 1] */
  #segment(symbols: Uint32Array): Int32Array {
    const best = new Float64Array(symbols.length + 1);
    const lastId = new Int32Array(symbols.length + 1);
    const offer = (end: number, score: number, id: number) => {
      // 0 means "not reached yet" to the official runtime even where it is a true score, and equal scores go to the later start.
      if (best[end] === 0 || score >= best[end]!) {
        best[end] = score;
        lastId[end] = id;
      }
    };
    for (let start = 0; start < symbols.length; start++) {
      let matched = false;
      let node: number | undefined = 0;
      for (let end = start; end < symbols.length; ) {
        node = this.#edges.get(node * CODE_POINTS + symbols[end++]!);
        if (node === undefined) break;
        const id = this.#idAt[node]!;
        if (id < 0) continue;
        matched = true;
        offer(end, this.#scores[id]! + best[start]!, id);
      }
      // An unknown character costs nothing, which is harmless: it is offered only where no piece fits.
      if (!matched) offer(start + 1, best[start]!, UNKNOWN);
    }
    return lastId;
  }

  #backtrack(lastId: Int32Array): number[] {
    const ids: number[] = [];
    for (let end = lastId.length - 1; end > 0; ) {
      const id = lastId[end]!;
      if (id !== UNKNOWN || ids.at(-1) !== UNKNOWN) ids.push(id);
      end -= this.#lengths[id]!;
    }
    return ids.reverse();
  }
}

function toCodePoints(text: string): Uint32Array {
  const codePoints = new Uint32Array(text.length);
  let count = 0;
  for (const symbol of text) codePoints[count++] = symbol.codePointAt(0)!;
  return codePoints.subarray(0, count);
}

function checkVocabulary(vocabulary: UnigramVocabulary): void {
  const fix = "Pass the parsed vocab.json of the model.";
  if (!Array.isArray(vocabulary) || vocabulary.length < RESERVED_PIECES) {
    throw new AttentionError("format", {
      subject: "vocabulary",
      expected: `an array of at least ${RESERVED_PIECES} entries [piece, score]`,
      got: Array.isArray(vocabulary) ? `${vocabulary.length} entries` : typeof vocabulary,
      fix,
    });
  }
  const wrong = vocabulary.findIndex((entry) => !isEntry(entry));
  if (wrong < 0) return;
  throw new AttentionError("format", {
    subject: `vocabulary[${wrong}]`,
    expected: "[non-empty string, number or null]",
    got: String(JSON.stringify(vocabulary[wrong])),
    fix,
  });
}

function isEntry(entry: unknown): boolean {
  if (!Array.isArray(entry)) return false;
  const [piece, score] = entry;
  return typeof piece === "string" && piece !== "" && (score === null || Number.isFinite(score));
}
