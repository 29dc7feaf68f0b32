/** The effects by name: what is claimed, and the models of `demo/public/models` that they need. */
export const CATALOG = {
  "head-hunter": {
    title: "HeadHunter: guidance away from the best heads",
    models: ["dit", "image-softmax"],
  },
  sinks: {
    title: "Attention sinks, and their calibration (ACT)",
    models: ["lm-softmax"],
  },
  "retrieval-heads": {
    title: "Masked retrieval heads against random ones",
    models: ["lm-softmax"],
  },
  sale: {
    title: "SALE on the model's own queries and keys",
    models: ["lm-softmax"],
  },
  "head-usage": {
    title: "Which heads a mixture of heads uses",
    models: ["lm-moh-75", "lm-moh-50"],
  },
  "long-texts": {
    title: "Past the trained length: sinks and window",
    models: ["lm-softmax"],
  },
} as const satisfies Record<string, { readonly title: string; readonly models: readonly string[] }>;

export type EffectName = keyof typeof CATALOG;

export const EFFECT_NAMES = Object.keys(CATALOG) as EffectName[];
