import { captureActivations } from "webgpu-attention/hooks";
import { LanguageModel, loadCheckpoint } from "webgpu-attention/transformer";
import { randomSource } from "../../../test/support/random.js";
import type { EffectInput, EffectReport, Table } from "../effect.js";
import { mean, spread } from "../figures.js";
import { Gates } from "../gates.js";
import { drawn, heldOutTokens, inputOf, passagesOf } from "../passages.js";
import { mobyDick, programText } from "../texts.js";
import { distance, evenness, usageOf } from "../usage.js";

interface Sizes {
  readonly tokens: number;
  /** Passages of each kind of text a seed. */
  readonly passages: number;
}

const SIZES: Sizes = { tokens: 256, passages: 2 };
const QUICK: Sizes = { tokens: 16, passages: 1 };

const MODELS = ["lm-moh-75", "lm-moh-50"] as const;

/** Which heads the routers of mixture-of-head attention activate (MoH, arXiv 2410.11842), layer by layer, and on which kinds of text. */
export async function headUsage(input: EffectInput): Promise<EffectReport> {
  const { quick } = input;
  const sizes = quick ? QUICK : SIZES;
  const tables: Table[] = [];
  for (const name of MODELS) tables.push(...(await tablesOf(name, sizes, input)));
  return {
    conditions:
      `${sizes.passages} passages of ${sizes.tokens} tokens a seed of each kind of text: Persuasion, held out; other passages of it; the first ones with their tokens shuffled; ` +
      "Moby-Dick, which the models were trained on; a program in WGSL. Gates are those of the routers on what enters each layer.",
    tables,
  };
}

async function tablesOf(
  name: (typeof MODELS)[number],
  sizes: Sizes,
  { ctx, seeds, model: folder, log }: EffectInput,
): Promise<Table[]> {
  const model = await LanguageModel.load(ctx, folder(name), { dtype: "f32" });
  const { weights } = await loadCheckpoint(ctx, folder(name), { dtype: "f32" });
  const gates = await Gates.create(ctx, model.config, weights, sizes.tokens);
  const capture = captureActivations(ctx, { names: ["residualIn"] });
  const texts = textsOf(model, sizes);
  /** [kinds][seeds][layers][heads] */
  const usages: number[][][][] = [];
  for (const [kind, passagesFor] of Object.entries(texts)) {
    const bySeed: number[][][] = [];
    for (const seed of seeds) {
      const found: Float32Array[][] = [];
      for (const passage of passagesFor(seed)) {
        await model.logits(inputOf(model, passage), { hooks: [capture] });
        found.push(await gates.read((layer) => capture.get(layer, "residualIn")!));
      }
      bySeed.push(
        model.config.layers.map(({ attention }, layer) =>
          usageOf(
            found.map((layers) => layers[layer]!),
            attention.heads,
          ),
        ),
      );
      log(
        `${name}, ${kind}, seed ${seed}: ${JSON.stringify(bySeed.at(-1)!.map((layer) => layer.map((share) => Number(share.toFixed(2)))))}`,
      );
    }
    usages.push(bySeed);
  }
  capture.destroy();
  gates.destroy();
  weights.destroy();
  model.destroy();
  const { attention } = model.config.layers[0]!;
  if (attention.mechanism !== "moh") throw new Error(`${name} has ${attention.mechanism} attention`);
  const { heads, sharedHeads, topK } = attention;
  const routed = Array.from({ length: heads - sharedHeads }, (_, n) => sharedHeads + n);
  const layers = model.config.layers.map((_, layer) => layer);
  return [
    {
      caption: `${name}: ${topK} of ${routed.length} routed heads a token beside ${sharedHeads} shared ones. The share of Persuasion's tokens that activate each routed head; even is ${((100 * topK) / routed.length).toFixed(0)} %.`,
      header: ["layer", ...routed.map((head) => `head ${head}`)],
      rows: layers.map((layer) => [
        `${layer}`,
        ...routed.map((head) =>
          spread(
            usages[0]!.map((seed) => seed[layer]![head]!),
            { percent: true, digits: 0 },
          ),
        ),
      ]),
    },
    {
      caption: `${name}: how even the use is, 1 where all routed heads are active as often as each other and 0 where the same ${topK} always are; and the share of a token's heads that would have to change for a text's use to become Persuasion's. Means over layers.`,
      header: ["text", "evenness", "from Persuasion"],
      rows: Object.keys(texts).map((kind, n) => {
        const shares = (seed: number, layer: number) =>
          routed.map((head) => usages[n]![seed]![layer]![head]!);
        const first = (seed: number, layer: number) => routed.map((head) => usages[0]![seed]![layer]![head]!);
        return [
          kind,
          spread(
            seeds.map((_, seed) => mean(layers.map((layer) => evenness(shares(seed, layer), topK)))),
            { digits: 2 },
          ),
          spread(
            seeds.map((_, seed) =>
              mean(layers.map((layer) => distance(shares(seed, layer), first(seed, layer)))),
            ),
            { percent: true, digits: 1 },
          ),
        ];
      }),
    },
  ];
}

/** Passages of each kind of text, by seed. The first kind is what the others are compared with. */
function textsOf(
  model: LanguageModel,
  { tokens, passages }: Sizes,
): Record<string, (seed: number) => readonly (readonly number[])[]> {
  const encoded = (text: string) => model.tokenizer!.encode(text, { specialTokens: false });
  const [held, moby, program] = [heldOutTokens(model), encoded(mobyDick()), encoded(programText())];
  const from = (ids: readonly number[]) => (seed: number) => passagesOf(ids, passages, tokens, seed);
  /** What is left between uses is what these differ by. */
  const others = (seed: number) => passagesOf(held, 2 * passages, tokens, seed).slice(passages);
  const shuffled = (seed: number) =>
    from(held)(seed).map((passage) =>
      drawn(passage.length, passage.length, randomSource(seed)).map((place) => passage[place]!),
    );
  return {
    Persuasion: from(held),
    "other passages of it": others,
    "its tokens shuffled": shuffled,
    "Moby-Dick": from(moby),
    WGSL: from(program),
  };
}
