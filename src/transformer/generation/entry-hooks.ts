import type { AttentionHook, AttentionSite } from "webgpu-attention/hooks";
import type { ModelConfig } from "../config/model-config.js";
import { siteMechanism } from "../model/announce.js";

/** The same object for the same question: compiled passes are found again by it. */
const made = new WeakMap<AttentionHook, Map<string, AttentionHook>>();

/** Hooks for the prompt of one of several sequences, which is read alone: of operations for each batch entry, those of this one. */
export function hooksOfEntry(
  config: Pick<ModelConfig, "layers">,
  hooks: readonly AttentionHook[],
  entry: number,
  entries: number,
): AttentionHook[] {
  return hooks.map((hook) => {
    if (entries === 1 || !tellsEntriesApart(config, hook)) return hook;
    const known = made.get(hook) ?? new Map<string, AttentionHook>();
    made.set(hook, known);
    const key = `${entry} of ${entries}`;
    const own = known.get(key) ?? entryHook(hook, entry, entries);
    known.set(key, own);
    return own;
  });
}

function tellsEntriesApart({ layers }: Pick<ModelConfig, "layers">, hook: AttentionHook): boolean {
  return layers.some(({ attention }, layer) => {
    const site = { layer, mechanism: siteMechanism(attention.mechanism), phase: "prefill" } as const;
    return Array.isArray(hook.prepare?.({ ...site, positions: [0, 1] })?.heads);
  });
}

function entryHook(hook: AttentionHook, entry: number, entries: number): AttentionHook {
  const { after, activation } = hook;
  return {
    prepare(site: AttentionSite) {
      const terms = hook.prepare?.(site);
      const heads = terms?.heads;
      // A list of another length is left for its own check.
      return Array.isArray(heads) && heads.length === entries ? { heads: [heads[entry]] } : terms;
    },
    ...(after && { after: after.bind(hook) }),
    ...(activation && { activation: activation.bind(hook) }),
  };
}
