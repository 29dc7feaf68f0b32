import {
  alibiMod,
  andMasks,
  causalMask,
  dilatedWindowMask,
  documentMask,
  type MaskMod,
  neighborhoodMask,
  notMask,
  orMasks,
  prefixLmMask,
  relativeBiasMod,
  type ScoreMod,
  slidingWindowMask,
  softCapMod,
  taylorMod,
} from "./index.js";
import type { SoftmaxReferenceInputs } from "./reference.js";

type Score = NonNullable<SoftmaxReferenceInputs["scoreMod"]>;
type Mask = NonNullable<SoftmaxReferenceInputs["maskMod"]>;

/** Heads, keys and batch entries that the data of the mods are for. */
export const [HEADS, KEYS] = [4, 48];
const slopes = [0.5, 0.25, 0.125, 0.0625];
const table = Array.from({ length: HEADS * 9 }, (_, n) => Math.sin(n));
const documents = Array.from({ length: KEYS }, (_, t) => (t < 7 ? 4 : t < 30 ? 1 : 9));

/** Mods with what they mean; p is the position of query row i among the keys. For 2 batch entries, 4 heads and 48 keys. */
export const SCORE_MODS: Record<string, [ScoreMod, (p: number, ...given: Parameters<Score>) => number]> = {
  ALiBi: [alibiMod(slopes), (p, s, _b, h, _i, j) => s - slopes[h]! * Math.abs(p - j)],
  "soft cap": [softCapMod(2), (_p, s) => 2 * Math.tanh(s / 2)],
  // Its least weight, 1/2, is at a score of -1.
  Taylor: [taylorMod(), (_p, s) => Math.log(1 + s + s ** 2 / 2)],
  "relative bias": [
    relativeBiasMod(table, 4),
    (p, s, _b, h, _i, j) => s + table[h * 9 + 4 + Math.max(-4, Math.min(4, j - p))]!,
  ],
  "one of the application's": [
    {
      wgsl: "// twice, and more\nlet own = shift(h) * factor;\nreturn score * own + f32(b);",
      functions: "fn shift(h: u32) -> f32 { return f32(h % 2u) + 0.5; }",
      constants: { factor: 2 },
    },
    (_p, s, b, h) => s * ((h % 2) + 0.5) * 2 + b,
  ],
};

export const MASK_MODS: Record<string, [MaskMod, (p: number, ...given: Parameters<Mask>) => boolean]> = {
  causal: [causalMask(), (p, _b, _h, _i, j) => j <= p],
  "sliding window": [
    slidingWindowMask({ left: 5, right: 2 }),
    (p, _b, _h, _i, j) => j >= p - 5 && j <= p + 2,
  ],
  "dilated window": [
    dilatedWindowMask({ left: 3, right: 1, dilation: 4 }),
    (p, _b, _h, _i, j) => j >= p - 12 && j <= p + 4 && (j - p) % 4 === 0,
  ],
  "prefix LM": [prefixLmMask([9, 21]), (p, b, _h, _i, j) => j < [9, 21][b]! || j <= p],
  documents: [documentMask(documents, KEYS), (p, _b, _h, _i, j) => documents[p] === documents[j]],
  neighborhood: [
    neighborhoodMask({ height: 6, width: 8, kernel: [3, 5] }),
    (p, _b, _h, _i, j) => {
      // The last place for a window of 3 x 5 in 6 x 8 pixels is 3 in both directions.
      const [top, left] = [(p >> 3) - 1, (p % 8) - 2].map((at) => Math.max(0, Math.min(at, 3)));
      return j >> 3 >= top! && j >> 3 < top! + 3 && j % 8 >= left! && j % 8 < left! + 5;
    },
  ],
  composed: [
    orMasks(
      andMasks(
        causalMask(),
        slidingWindowMask({ left: 6, right: 0 }),
        notMask({ wgsl: "return j % 3u == h % 3u;" }),
      ),
      { wgsl: "return j < sinks;", constants: { sinks: 2 } },
    ),
    (p, _b, h, _i, j) => (j <= p && j >= p - 6 && j % 3 !== h % 3) || j < 2,
  ],
  "of one name for two things": [
    andMasks(
      documentMask(documents, KEYS),
      notMask(
        documentMask(
          documents.map((_, t) => t % 5),
          48,
        ),
      ),
    ),
    (p, _b, _h, _i, j) => documents[p] === documents[j] && p % 5 !== j % 5,
  ],
};
