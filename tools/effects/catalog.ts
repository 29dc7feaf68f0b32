/** The effects by name: what is claimed, and the models of `demo/public/models` that they need. */
export const CATALOG = {
  sinks: {
    title: "Attention sinks, and their calibration (ACT)",
    models: ["lm-softmax"],
  },
} as const satisfies Record<string, { readonly title: string; readonly models: readonly string[] }>;

export type EffectName = keyof typeof CATALOG;

export const EFFECT_NAMES = Object.keys(CATALOG) as EffectName[];
