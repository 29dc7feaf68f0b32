import type { Preset, PresetGroup } from "../../_playground/mechanism.js";
import { SOFTMAX_CASES, type SoftmaxCase } from "../cases.js";
import { valuesOf } from "./read-values.js";

const self = (tokens: number, heads: number, dim: number): Partial<SoftmaxCase> => ({
  tokensQ: tokens,
  tokensK: tokens,
  heads,
  kvHeads: heads,
  headDim: dim,
  valueDim: dim,
});

const PLAIN: SoftmaxCase = {
  name: "",
  batches: 1,
  tokensQ: 64,
  tokensK: 64,
  heads: 4,
  kvHeads: 4,
  headDim: 64,
  valueDim: 64,
  dtype: "f32",
  kvDtype: "f32",
  options: {},
};

const preset = (name: string, changes: Partial<SoftmaxCase>, more: Preset["values"] = {}): Preset => ({
  name,
  values: { ...valuesOf({ ...PLAIN, ...changes }), ...more },
});

/** Shapes of models that people know, and the corners that kernels get wrong. */
const FIELD: readonly Preset[] = [
  preset(
    "GPT-2 prefill, 512 tokens",
    { ...self(512, 12, 64), options: { causal: true } },
    { layout: "fused" },
  ),
  preset("Llama decode, grouped heads, 2,048 keys", {
    ...self(1, 32, 128),
    tokensK: 2048,
    kvHeads: 8,
    kvDtype: "f16",
    options: { causal: true },
  }),
  preset("ViT, 197 tokens, 64 dims", self(197, 12, 64)),
  preset("Sliding window, sinks (gpt-oss)", {
    ...self(192, 8, 64),
    kvHeads: 1,
    options: { causal: true, window: { left: 63 }, sinkLogits: true, rope: { theta: 150_000 } },
  }),
  preset("Soft cap (Gemma 2)", {
    ...self(128, 4, 256),
    kvHeads: 2,
    options: { causal: true, softcap: 50, scale: 0.0625, rope: {} },
  }),
  preset("ALiBi (BLOOM)", { ...self(128, 8, 64), options: { causal: true, alibiSlopes: true } }),
  preset("Padded batch", {
    ...self(48, 4, 64),
    batches: 3,
    options: { causal: true, keyStarts: [0, 12, 30] },
  }),
  preset("Head dimension 15", self(64, 4, 15)),
];

/** Titles of groups, by what a case's name holds; the first that fits. */
const KINDS: readonly (readonly [title: string, pattern: RegExp])[] = [
  ["Head dimensions", /head dim \d+$|^Dv|Dv different/],
  ["Sets of options", /, (tiled|split)$/],
  ["Storage f16", /f16/],
  ["Decode", /decode/],
  ["Other", /./],
];

const kindOf = ({ name }: SoftmaxCase) => KINDS.find(([, pattern]) => pattern.test(name))![0];

export const SOFTMAX_PRESETS: readonly PresetGroup[] = [
  { title: "In the field", presets: FIELD },
  ...KINDS.map(([title]) => ({
    title: `Test cases: ${title.toLowerCase()}`,
    presets: SOFTMAX_CASES.filter((problem) => kindOf(problem) === title).map((problem) => ({
      name: problem.name,
      values: valuesOf(problem),
    })),
  })),
];
