import { readFileSync } from "node:fs";
import {
  type AttentionCalibrationOptions,
  type AttentionHook,
  allHeads,
  attentionCalibration,
  chooseHeads,
  type Head,
  perturbHeads,
  receivedSinks,
  sinkRate,
} from "webgpu-attention/hooks";
import { LanguageModel } from "webgpu-attention/transformer";
import { randomSource } from "../../../test/support/random.js";
import type { EffectInput, EffectReport, Table } from "../effect.js";
import { mean, spread } from "../figures.js";
import { HeadStatistics } from "../head-statistics.js";
import { bitsPerByte, drawn, heldOutTokens, inputOf, passagesOf } from "../passages.js";
import { heldOutText } from "../texts.js";

interface Sizes {
  /** Tokens of a window whose sink rate is taken, the begin token included, and how many windows. */
  readonly rate: { readonly tokens: number; readonly windows: number };
  /** Tokens of a passage for ACT, and how many heads are chosen by and judged by. */
  readonly act: { readonly tokens: number; readonly choosing: number; readonly judging: number };
}

const SIZES: Sizes = {
  rate: { tokens: 64, windows: 64 },
  act: { tokens: 128, choosing: 2, judging: 6 },
};
const QUICK: Sizes = {
  rate: { tokens: 16, windows: 2 },
  act: { tokens: 16, choosing: 1, judging: 1 },
};

/** Thresholds of a sink: that of ACT's code, and that of the paper. */
const RULES: readonly { readonly name: string; readonly options: AttentionCalibrationOptions }[] = [
  { name: "θ = 0.1", options: { theta: 0.1 } },
  { name: "α = 5", options: { alpha: 5 } },
];

/** Sink heads (Gu et al., arXiv 2410.10781), and attention calibration with offline head choice (ACT, arXiv 2406.15765). */
export async function sinks(input: EffectInput): Promise<EffectReport> {
  const { ctx, seeds, quick } = input;
  const sizes = quick ? QUICK : SIZES;
  const model = await LanguageModel.load(ctx, input.model("lm-softmax"), { dtype: "f32" });
  try {
    const ids = heldOutTokens(model);
    const rates = await rateTables(model, ids, sizes.rate, input);
    const found = await sinkTable(model, ids, sizes.act, seeds);
    const calibrated = await calibrationTable(model, ids, sizes.act, input);
    const { rate, act } = sizes;
    return {
      conditions:
        `Sink rate: ${rate.windows} windows of ${rate.tokens} tokens a seed. ACT (β = 0.4, begin token protected): passages of ${act.tokens} ` +
        `tokens, ${act.choosing} a seed to choose heads by, ${act.judging} others to judge by. ACT finds its sinks in the whole passage: a token's bits ` +
        "depend on those behind it, and are no code length. Persuasion without its first 20,000 tokens; each window opens with the begin token.",
      tables: [...rates, found, calibrated],
    };
  } finally {
    model.destroy();
  }
}

async function rateTables(
  model: LanguageModel,
  ids: readonly number[],
  { tokens, windows }: Sizes["rate"],
  { seeds, log, model: folder }: EffectInput,
): Promise<Table[]> {
  const { sinks: known } = JSON.parse(
    readFileSync(new URL("training.json", folder("lm-softmax")), "utf8"),
  ).figures;
  const statistics = await HeadStatistics.create(model.ctx, model.config, tokens, { receivedMean: true });
  /** m0 of each head. */
  const firstsOf = async (passages: readonly (readonly number[])[]): Promise<number[]> => {
    const received: number[][] = [];
    for (const passage of passages) {
      await model.logits([model.config.tokens!.bos!, ...passage], { hooks: [statistics.hook] });
      received.push((await statistics.read("receivedMean")).map(({ values }) => values[0]!));
    }
    return received[0]!.map((_, head) => mean(received.map((heads) => heads[head]!)));
  };
  const book = model.tokenizer!.encode(heldOutText(), { specialTokens: false });
  const opening = Array.from({ length: windows }, (_, n) =>
    book.slice(n * (tokens - 1), (n + 1) * (tokens - 1)),
  );
  const trained = (await firstsOf(opening)).map((first, head) => Math.abs(first - known.m0.flat()[head]!));
  log(`m0 of the book's first windows: ${Math.max(...trained)} from training.json at most`);
  const firsts: number[][] = [];
  for (const seed of seeds) {
    firsts.push(await firstsOf(passagesOf(ids, windows, tokens - 1, seed)));
    log(`sink rate, seed ${seed}: ${sinkRate(firsts.at(-1)!.map((first) => [first])).rate}`);
  }
  statistics.destroy();
  const rates = firsts.map((heads) => sinkRate(heads.map((first) => [first])));
  const counts = rates.map(({ isSinkHead }) => isSinkHead.filter(Boolean).length);
  const heads = model.config.layers[0]!.attention.heads;
  return [
    {
      caption:
        `Sink heads: those whose m₀, what the begin token receives on average, is above 0.3. On the windows of the training's own report ` +
        `the largest difference of a head's m₀ from PyTorch's is ${Math.max(...trained).toExponential(0)}.`,
      header: ["sink heads", `of ${firsts[0]!.length}`, "sink rate"],
      rows: [
        [
          counts.join(", "),
          spread(counts, { digits: 1 }),
          spread(
            rates.map(({ rate }) => rate),
            { percent: true, digits: 1 },
          ),
        ],
      ],
    },
    {
      caption: "m₀ of each head.",
      header: ["layer", ...Array.from({ length: heads }, (_, head) => `head ${head}`)],
      rows: model.config.layers.map((_, layer) => [
        `${layer}`,
        ...Array.from({ length: heads }, (_, head) =>
          spread(firsts.map((all) => all[layer * heads + head]!)),
        ),
      ]),
    },
  ];
}

/** What ACT's rules take for sinks in this model. */
async function sinkTable(
  model: LanguageModel,
  ids: readonly number[],
  { tokens, judging }: Sizes["act"],
  seeds: readonly number[],
): Promise<Table> {
  const statistics = await HeadStatistics.create(model.ctx, model.config, tokens, { receivedMean: true });
  const late = tokens - Math.ceil(tokens / 16);
  const counts = RULES.map(() => seeds.map(() => ({ all: 0, late: 0, heads: 0 })));
  for (const [index, seed] of seeds.entries()) {
    for (const passage of passagesOf(ids, judging, tokens, seed)) {
      await model.logits(inputOf(model, passage), { hooks: [statistics.hook] });
      for (const { values } of await statistics.read("receivedMean")) {
        for (const [rule, { options }] of RULES.entries()) {
          const keys = receivedSinks(values, options);
          const count = counts[rule]![index]!;
          count.all += keys.length;
          count.late += keys.filter((key) => key >= late).length;
          count.heads++;
        }
      }
    }
  }
  statistics.destroy();
  return {
    caption: `Sinks beside the begin token, a head and passage, and how many of them are among the last sixteenth of the passage, which few queries see.`,
    header: ["a key is a sink above", "sinks", "of them late"],
    rows: RULES.map(({ name }, rule) => [
      name,
      spread(
        counts[rule]!.map(({ all, heads }) => all / heads),
        { digits: 2 },
      ),
      spread(
        counts[rule]!.map((count) => count.late / Math.max(1, count.all)),
        { percent: true, digits: 0 },
      ),
    ]),
  };
}

async function calibrationTable(
  model: LanguageModel,
  ids: readonly number[],
  { tokens, choosing, judging }: Sizes["act"],
  { seeds, log, quick }: EffectInput,
): Promise<Table> {
  const { layers } = model.config;
  const every = allHeads(layers.length, layers[0]!.attention.heads);
  const candidates = quick ? every.slice(8, 11) : every;
  const rows: string[][] = [];
  for (const { name, options } of RULES) {
    const hooksOf = rememberedHooks(options);
    const changes = { none: [], all: [], chosen: [], random: [], choosing: [] } as Record<string, number[]>;
    const counts: number[] = [];
    for (const seed of seeds) {
      const passages = passagesOf(ids, choosing + judging, tokens, seed);
      const { heads, baseline } = await chooseHeads({
        ...{ candidates, samples: choosing },
        objective: async (chosen, sample) =>
          -(await bitsPerByte(model, [passages[sample]!], hooksOf(chosen))),
      });
      const judged = passages.slice(choosing);
      const plain = await bitsPerByte(model, judged);
      const random = drawn(heads.length, candidates.length, randomSource(seed)).map((n) => candidates[n]!);
      const bits = {
        all: await bitsPerByte(model, judged, hooksOf(candidates)),
        chosen: await bitsPerByte(model, judged, hooksOf(heads)),
        random: await bitsPerByte(model, judged, hooksOf(random)),
      };
      // A mean over passages, as the search's own.
      const seen: number[] = [];
      for (const passage of passages.slice(0, choosing))
        seen.push(await bitsPerByte(model, [passage], hooksOf(heads)));
      changes.none!.push(plain);
      changes.choosing!.push(mean(seen) + baseline);
      for (const [which, value] of Object.entries(bits)) changes[which]!.push(value - plain);
      counts.push(heads.length);
      log(
        `ACT ${name}, seed ${seed}: ${heads.map(({ layer, head }) => `${layer}.${head}`).join(" ")} ${JSON.stringify(bits)} of ${plain}`,
      );
    }
    const change = (which: string) => spread(changes[which]!, { digits: 4, signed: true });
    rows.push([
      name,
      spread(changes.none!, { digits: 4 }),
      change("all"),
      `${spread(counts, { digits: 1 })} of ${candidates.length}`,
      change("choosing"),
      change("chosen"),
      change("random"),
    ]);
  }
  return {
    caption:
      "Bits per byte without ACT, and what it changes: applied to all heads; to those that lowered the bits of the choosing passages, each alone; on these " +
      "passages and on the judging ones; and to as many heads drawn at random, on the judging ones.",
    header: ["sinks", "without", "all heads", "chosen", "there, on choosing", "on judging", "random heads"],
    rows,
  };
}

/** Hooks by their heads: the model compiles a pass for each hook that it has not seen. */
function rememberedHooks(
  options: AttentionCalibrationOptions,
): (heads: readonly Head[]) => readonly AttentionHook[] {
  const known = new Map<string, readonly AttentionHook[]>();
  return (heads) => {
    if (heads.length === 0) return [];
    const key = JSON.stringify(heads);
    const hooks = known.get(key) ?? [perturbHeads(heads, attentionCalibration(options))];
    known.set(key, hooks);
    return hooks;
  };
}
