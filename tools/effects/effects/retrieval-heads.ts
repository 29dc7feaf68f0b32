import {
  type AttentionHook,
  allHeads,
  copiedTokenScore,
  type Head,
  perturbHeads,
  retrievalHeads as retrievalSearch,
  UNIFORM_HEAD,
} from "webgpu-attention/hooks";
import { LanguageModel } from "webgpu-attention/transformer";
import { randomSource } from "../../../test/support/random.js";
import type { EffectInput, EffectReport } from "../effect.js";
import { mean, spread } from "../figures.js";
import { HeadStatistics } from "../head-statistics.js";
import { type CopyingQuery, copiedTokens, type Needle, needleOf, randomSegment } from "../needles.js";
import { bitsPerByte, drawn, heldOutTokens, passagesOf, surprisals } from "../passages.js";

interface Sizes {
  /** Tokens of a segment that comes twice. */
  readonly segment: number;
  /** Needles to find heads by, and of each kind to judge by. */
  readonly finding: number;
  readonly judging: number;
  /** Passages whose bits per byte are taken, and their tokens. */
  readonly passages: number;
  readonly tokens: number;
  /** Draws of random heads. */
  readonly draws: number;
}

const SIZES: Sizes = { segment: 48, finding: 8, judging: 4, passages: 2, tokens: 256, draws: 4 };
const QUICK: Sizes = { segment: 7, finding: 1, judging: 1, passages: 1, tokens: 15, draws: 1 };

const QUERIES: readonly CopyingQuery[] = ["own", "predicting"];

/** What masked heads do to the three tasks. */
interface Scores {
  /** Bits of a token of the second time, of random tokens and of a passage. */
  readonly random: number;
  readonly text: number;
  readonly bitsPerByte: number;
}

/** Retrieval heads (AttentionInfluence, arXiv 2505.07293), masked to uniform weights, against random heads. */
export async function retrievalHeads(input: EffectInput): Promise<EffectReport> {
  const { ctx, seeds, quick, log } = input;
  const sizes = quick ? QUICK : SIZES;
  const model = await LanguageModel.load(ctx, input.model("lm-softmax"), { dtype: "f32" });
  try {
    const ids = heldOutTokens(model);
    const statistics = await HeadStatistics.create(ctx, model.config, 2 * sizes.segment + 1, {
      argmax: true,
    });
    const runs: SeedRun[] = [];
    for (const seed of seeds) {
      runs.push(await measureSeed(model, statistics, ids, sizes, seed));
      log(`seed ${seed}: ${JSON.stringify(runs.at(-1))}`);
    }
    statistics.destroy();
    return report(runs, sizes);
  } finally {
    model.destroy();
  }
}

interface SeedRun {
  readonly plain: Scores;
  /** Bits of a token of the first time. */
  readonly first: Omit<Scores, "bitsPerByte">;
  readonly found: Readonly<Record<CopyingQuery, { readonly heads: readonly Head[]; readonly best: number }>>;
  readonly masked: Readonly<Record<CopyingQuery, Scores>>;
  /** Means over the draws. */
  readonly random: Scores;
}

async function measureSeed(
  model: LanguageModel,
  statistics: HeadStatistics,
  ids: readonly number[],
  sizes: Sizes,
  seed: number,
): Promise<SeedRun> {
  const { segment, finding, judging, passages, tokens, draws } = sizes;
  const begin = model.config.tokens!.bos!;
  const { layers } = model.config;
  const candidates = allHeads(layers.length, layers[0]!.attention.heads);
  // What heads are found by is not among what their bits are taken on.
  const [needleText, passageText] = [ids.slice(0, ids.length / 2), ids.slice(ids.length / 2)];
  const segments = passagesOf(needleText, finding + judging, segment, seed).map((text) =>
    needleOf(begin, text),
  );
  const observed = await observe(model, statistics, segments.slice(0, finding));
  const foundBy = async (query: CopyingQuery) => {
    const { heads, scores } = await retrievalSearch({
      ...{ candidates, samples: finding },
      observe: (_, sample) =>
        observed[sample]!.map((keys) => copiedTokenScore(copiedTokens(segments[sample]!, keys, query))),
    });
    return { heads, best: Math.max(...scores.map(({ score }) => score)) };
  };
  const found = { own: await foundBy("own"), predicting: await foundBy("predicting") };
  const needles = {
    random: Array.from({ length: judging }, (_, n) =>
      needleOf(begin, randomSegment(segment, model.config.tokens!.vocabulary, 1000 * seed + n)),
    ),
    text: segments.slice(finding),
  };
  const texts = passagesOf(passageText, passages, tokens, seed);
  const scoresWith = async (heads: readonly Head[]): Promise<Scores & { first: SeedRun["first"] }> => {
    const hooks = heads.length > 0 ? [perturbHeads(heads, UNIFORM_HEAD)] : [];
    const [random, text] = [
      await copyBits(model, needles.random, hooks),
      await copyBits(model, needles.text, hooks),
    ];
    return {
      ...{ random: random.second, text: text.second, bitsPerByte: await bitsPerByte(model, texts, hooks) },
      first: { random: random.first, text: text.first },
    };
  };
  const { first, ...plain } = await scoresWith([]);
  const [own, predicting] = [await scoresWith(found.own.heads), await scoresWith(found.predicting.heads)];
  const retrieving = [...found.own.heads, ...found.predicting.heads];
  const others = candidates.filter(
    ({ layer, head }) => !retrieving.some((other) => other.layer === layer && other.head === head),
  );
  const random = randomSource(seed);
  const drawnScores: Scores[] = [];
  for (let draw = 0; draw < draws; draw++) {
    const heads = drawn(found.own.heads.length, others.length, random).map((n) => others[n]!);
    drawnScores.push(await scoresWith(heads));
  }
  return { plain, first, found, masked: { own, predicting }, random: meanScores(drawnScores) };
}

/** Of each needle, each head's keys with the largest weights. */
async function observe(
  model: LanguageModel,
  statistics: HeadStatistics,
  needles: readonly Needle[],
): Promise<Float64Array[][]> {
  const observed: Float64Array[][] = [];
  for (const { tokens } of needles) {
    await model.logits(tokens, { hooks: [statistics.hook] });
    observed.push((await statistics.read("argmaxKey")).map(({ values }) => values));
  }
  return observed;
}

/** Mean bits of a token, the first time and the second. */
async function copyBits(
  model: LanguageModel,
  needles: readonly Needle[],
  hooks: readonly AttentionHook[],
): Promise<{ readonly first: number; readonly second: number }> {
  const bits: Float64Array[] = [];
  for (const { tokens } of needles)
    bits.push(surprisals(await model.logits(tokens.slice(0, -1), { hooks }), tokens.slice(1)));
  const half = needles[0]!.segment.length;
  return {
    first: mean(bits.map((each) => mean(each.subarray(0, half)))),
    second: mean(bits.map((each) => mean(each.subarray(half)))),
  };
}

function meanScores(all: readonly Scores[]): Scores {
  const of = (name: keyof Scores) => mean(all.map((scores) => scores[name]));
  return { random: of("random"), text: of("text"), bitsPerByte: of("bitsPerByte") };
}

function report(runs: readonly SeedRun[], sizes: Sizes): EffectReport {
  const { segment, finding, judging, passages, tokens, draws } = sizes;
  const row = (name: string, scoresOf: (run: SeedRun) => Scores, isChange: boolean) => [
    name,
    ...(["random", "text", "bitsPerByte"] as const).map((task) =>
      spread(
        runs.map((run) => scoresOf(run)[task] - (isChange ? run.plain[task] : 0)),
        { signed: isChange, digits: task === "bitsPerByte" ? 4 : 2 },
      ),
    ),
  ];
  const headList = (heads: readonly Head[]) => heads.map(({ layer, head }) => `${layer}.${head}`).join(" ");
  const count = runs[0]!.found.own.heads.length;
  return {
    conditions:
      `Needles: a segment of ${segment} tokens that comes twice, the second time given and not generated; ${finding} passages of the first half of what is held ` +
      `out of Persuasion a seed to find heads by, ${judging} others and ${judging} of random tokens to judge by; bits per byte on ${passages} passages of ${tokens} tokens of ` +
      "its second half; " +
      `${draws} draws of random heads a seed. 5 % of 32 heads are 1.6: ${count} heads are masked, as the package rounds up.`,
    tables: [
      {
        caption:
          "The heads with the best retrieval scores (layer.head, seeds apart) and the best score: the share of a segment's tokens that the head looks at " +
          "where they came first.",
        header: ["query", "heads", "best score"],
        rows: QUERIES.map((query) => [
          query === "own" ? "of the token itself" : "of the token in front",
          runs.map(({ found }) => headList(found[query].heads)).join("; "),
          spread(
            runs.map(({ found }) => found[query].best),
            { percent: true, digits: 0 },
          ),
        ]),
      },
      {
        caption:
          "Bits of a token the first time, and the second; then what masking adds to the bits of the second time, and to bits per byte.",
        header: ["", "random tokens", "passages", "bits per byte"],
        rows: [
          [
            "first time",
            ...(["random", "text"] as const).map((task) =>
              spread(
                runs.map(({ first }) => first[task]),
                { digits: 2 },
              ),
            ),
            "",
          ],
          row("second time", ({ plain }) => plain, false),
          row("masked: found by the token itself", ({ masked }) => masked.own, true),
          row("masked: found by the token in front", ({ masked }) => masked.predicting, true),
          row("masked: random heads", ({ random }) => random, true),
        ],
      },
    ],
  };
}
