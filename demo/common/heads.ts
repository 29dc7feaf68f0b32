/** An attention head of a model, both counted from 0. */
export interface HeadPlace {
  readonly layer: number;
  readonly head: number;
}

/** What a page knows of a layer's attention. */
export interface LayerHeads {
  readonly mechanism: string;
  readonly heads: number;
}

/** Mechanisms whose heads have a pattern that can be changed: softmax inside. */
const WITH_PATTERN: readonly string[] = ["softmax", "sale", "moh"];

export function hasPattern({ mechanism }: LayerHeads): boolean {
  return WITH_PATTERN.includes(mechanism);
}

/** Heads as links carry them: `"1.0 1.4"`, layer and head. */
export function formatHeads(heads: readonly HeadPlace[]): string {
  return heads.map(({ layer, head }) => `${layer}.${head}`).join(" ");
}

/** Heads as a page's values have them: empty for those that it begins with, `"none"` for none. */
export function headsValue(chosen: readonly HeadPlace[], initial: readonly HeadPlace[]): string {
  const heads = formatHeads(chosen);
  return heads === formatHeads(initial) ? "" : heads || "none";
}

/** Heads of a link that the model has and that can be changed, each once, in order. */
export function readHeads(text: string, layers: readonly LayerHeads[]): HeadPlace[] {
  const wanted = new Set(text.split(/[\s,]+/));
  return changeableHeads(layers).filter(({ layer, head }) => wanted.has(`${layer}.${head}`));
}

/** All heads that can be changed, layer by layer. */
export function changeableHeads(layers: readonly LayerHeads[]): HeadPlace[] {
  return layers.flatMap((one, layer) =>
    hasPattern(one) ? Array.from({ length: one.heads }, (_, head) => ({ layer, head })) : [],
  );
}
