import {
  type AttentionHook,
  allHeads,
  type Head,
  headSearch,
  perturbHeads,
  softPag,
} from "webgpu-attention/hooks";
import { DiffusionModel, ImageModel } from "webgpu-attention/transformer";
import { normalArray, randomSource } from "../../../test/support/random.js";
import { asPixels } from "../../recompute/evaluate.js";
import { confidence, effectiveClasses, likeliest } from "../confidence.js";
import type { EffectInput, EffectReport } from "../effect.js";
import { mean, spread } from "../figures.js";
import { drawn } from "../passages.js";

interface Sizes {
  /** Images of a search, and to judge by. */
  readonly searching: number;
  readonly judging: number;
  /** Euler steps. */
  readonly steps: number;
  /** Rounds of a search, each of which adds a head. */
  readonly rounds: number;
  readonly strengths: readonly number[];
  readonly weights: readonly number[];
}

const SIZES: Sizes = {
  ...{ searching: 8, judging: 32, steps: 10, rounds: 2 },
  ...{ strengths: [0.25, 0.5, 1], weights: [1, 3, 6] },
};
const QUICK: Sizes = {
  ...{ searching: 1, judging: 2, steps: 2, rounds: 1 },
  ...{ strengths: [1], weights: [3] },
};

/** w of the search, as published; its u is 1, and tuned afterwards. */
const SEARCH_WEIGHT = 3;

/** Guidance: w times the difference from a pass in which these heads' patterns move towards the identity by u. */
interface Guidance {
  readonly heads: readonly Head[];
  readonly u: number;
  readonly w: number;
}

interface Quality {
  readonly confidence: number;
  readonly classes: number;
}

/** HeadHunter (arXiv 2506.10978): the heads away from which guidance improves unconditional images most, by a classifier's confidence. */
export async function headHunter(input: EffectInput): Promise<EffectReport> {
  const { ctx, seeds, quick, model, log } = input;
  const sizes = quick ? QUICK : SIZES;
  const dit = await DiffusionModel.load(ctx, model("dit"), { dtype: "f32" });
  const judge = await ImageModel.load(ctx, model("image-softmax"), { dtype: "f32" });
  try {
    const runs: SeedRun[] = [];
    for (const seed of seeds) {
      runs.push(await measureSeed({ dit, judge }, sizes, seed, log));
      log(`seed ${seed}: ${JSON.stringify(runs.at(-1))}`);
    }
    return report(runs, sizes);
  } finally {
    dit.destroy();
    judge.destroy();
  }
}

interface Models {
  readonly dit: DiffusionModel;
  readonly judge: ImageModel;
}

interface SeedRun {
  readonly heads: readonly Head[];
  readonly plain: Quality;
  /** [strengths][weights] with the heads that were found. */
  readonly found: readonly (readonly Quality[])[];
  /** At the search's own u and w. */
  readonly random: Quality;
  readonly all: Quality;
}

async function measureSeed(
  models: Models,
  { searching, judging, steps, rounds, strengths, weights }: Sizes,
  seed: number,
  log: EffectInput["log"],
): Promise<SeedRun> {
  const { config } = models.dit;
  const candidates = allHeads(config.layers.length, config.layers[0]!.attention.heads);
  const random = randomSource(seed);
  const { channels, size } = config.image!;
  const noiseOf = (images: number) => normalArray(images * channels * size ** 2, random);
  const [searchNoise, judgeNoise] = [noiseOf(searching), noiseOf(judging)];
  const { heads } = await headSearch({
    ...{ candidates, rounds, samples: 1 },
    objective: async (tried) =>
      (await qualityOf(models, searchNoise, steps, { heads: tried, u: 1, w: SEARCH_WEIGHT })).confidence,
    onProgress: ({ done, total }) => log(`seed ${seed}: search ${done} of ${total}`),
  });
  const judged = (guidance?: Guidance) => qualityOf(models, judgeNoise, steps, guidance);
  const found: Quality[][] = [];
  for (const u of strengths) {
    const row: Quality[] = [];
    for (const w of weights) row.push(await judged({ heads, u, w }));
    found.push(row);
  }
  const others = candidates.filter(
    ({ layer, head }) => !heads.some((chosen) => chosen.layer === layer && chosen.head === head),
  );
  const drawnHeads = drawn(heads.length, others.length, random).map((n) => others[n]!);
  return {
    ...{ heads, found, plain: await judged() },
    random: await judged({ heads: drawnHeads, u: 1, w: SEARCH_WEIGHT }),
    all: await judged({ heads: candidates, u: 1, w: SEARCH_WEIGHT }),
  };
}

/** Unconditional images from this noise, as the classifier sees them. */
async function qualityOf(
  { dit, judge }: Models,
  noise: Float32Array,
  steps: number,
  guidance?: Guidance,
): Promise<Quality> {
  const { channels, size } = dit.config.image!;
  const labels = new Array<null>(noise.length / (channels * size ** 2)).fill(null);
  const perturbation = guidance && { w: guidance.w, hooks: hooksOf(guidance) };
  const images = await dit.sample({ labels, noise, steps, ...(perturbation && { perturbation }) });
  const results = await judge.encode(asPixels(images));
  return {
    confidence: mean(results.map(({ logits }) => confidence(logits!))),
    classes: effectiveClasses(results.map(({ logits }) => likeliest(logits!))),
  };
}

function hooksOf({ heads, u }: Guidance): readonly AttentionHook[] {
  return [perturbHeads(heads, softPag({ u }))];
}

function report(
  runs: readonly SeedRun[],
  { searching, judging, steps, rounds, strengths, weights }: Sizes,
): EffectReport {
  const row = (name: string, of: (run: SeedRun) => Quality) => [
    name,
    spread(runs.map((run) => of(run).confidence)),
    spread(
      runs.map((run) => of(run).confidence - run.plain.confidence),
      { signed: true },
    ),
    spread(
      runs.map((run) => of(run).classes),
      { digits: 1 },
    ),
  ];
  const heads = runs
    .map((run) => run.heads.map(({ layer, head }) => `${layer}.${head}`).join(" "))
    .join("; ");
  const [u, w] = [1, SEARCH_WEIGHT];
  return {
    conditions:
      `Unconditional images, ${steps} Euler steps. A search tries each head on ${searching} images (u = ${u}, w = ${w}) and adds the best, ${rounds} time${rounds > 1 ? "s" : ""}; ` +
      `${judging} others judge, the same noise for all rows of a seed. Found (layer.head, seeds apart): ${heads}.`,
    tables: [
      {
        caption:
          "image-softmax's mean confidence (the probability of its likeliest class), its change, and over how many classes the images are spread (2 to the entropy).",
        header: ["guidance", "confidence", "change", "classes"],
        rows: [
          row("none", ({ plain }) => plain),
          row(`as many random heads, u = ${u}, w = ${w}`, ({ random }) => random),
          row(`all heads, u = ${u}, w = ${w}`, ({ all }) => all),
          ...strengths.flatMap((strength, s) =>
            weights.map((weight, n) =>
              row(`found heads, u = ${strength}, w = ${weight}`, ({ found }) => found[s]![n]!),
            ),
          ),
        ],
      },
    ],
  };
}
