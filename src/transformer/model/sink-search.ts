import {
  type AttentionHook,
  type AttentionSite,
  type HeadOperation,
  operationsAt,
} from "webgpu-attention/hooks";
import type { ModelConfig } from "../config/model-config.js";
import { wholeSite } from "./announce.js";

/** What hooks find sinks of a layer by. */
export interface SinkSearch {
  /** Query heads of the layer. */
  readonly heads: number;
  /** Whether some shift looks at hidden states. */
  readonly hidden: boolean;
  /** Whether some look anew at each token (`update: "running"`). */
  readonly running: boolean;
  /** Of each batch entry: the same text for the same search, undefined for none. */
  readonly rules: readonly (string | undefined)[];
}

/** Undefined where no shift finds its sinks: there is none, or they are named. */
export function sinkSearch(
  site: AttentionSite,
  problem: Parameters<typeof operationsAt>[1],
  hooks: readonly AttentionHook[],
): SinkSearch | undefined {
  const entries = (operationsAt(site, problem, hooks) ?? []).map((map) =>
    [...map].flatMap(([head, operations]) =>
      [operations].flat().flatMap((operation) => searchOf(head, operation)),
    ),
  );
  const all = entries.flat();
  if (all.length === 0) return undefined;
  return {
    heads: problem.q.shape[2],
    hidden: all.some(({ sinks }) => "hidden" in sinks),
    running: all.some(({ sinks }) => "received" in sinks && sinks.update === "running"),
    rules: entries.map((searches) =>
      searches.length > 0 ? JSON.stringify(searches.sort((a, b) => a.head - b.head)) : undefined,
    ),
  };
}

function searchOf(head: number, operation: HeadOperation) {
  // What is no operation is refused when it is planned.
  if (operation?.kind !== "shift" || operation.keep === 1 || typeof operation.sinks !== "object") return [];
  const { sinks, protect } = operation;
  return "keys" in sinks ? [] : [{ head, sinks, protect }];
}

/** Whether hooks look for sinks in texts: they have to see all of it. */
export function looksForSinks(
  { layers }: Pick<ModelConfig, "layers">,
  hooks: readonly AttentionHook[],
  { batches = 1, tokens = 1 }: { readonly batches?: number; readonly tokens?: number } = {},
): boolean {
  if (hooks.length === 0) return false;
  return layers.some(({ attention: { mechanism, heads, headDim } }, layer) => {
    const q = { shape: [batches, tokens, heads, headDim], dtype: "f32" } as const;
    return sinkSearch(wholeSite(layer, mechanism, tokens), { q }, hooks) !== undefined;
  });
}
