import { protectedKeys } from "webgpu-attention/calibration";
import {
  type AttentionHook,
  type AttentionSite,
  type HeadOperation,
  operationsAt,
} from "webgpu-attention/hooks";
import type { ModelConfig } from "../config/model-config.js";
import { wholeSite } from "./announce.js";

/** What the sinks of a batch entry are found by. */
export interface SinkRule {
  /** The same for the same search. */
  readonly text: string;
  /** Whether some are looked for anew in each pass (`update: "running"`). */
  readonly running: boolean;
}

/** What hooks find sinks of a layer by. */
export interface SinkSearch {
  /** Query heads of the layer. */
  readonly heads: number;
  /** Whether some shift looks at hidden states. */
  readonly hidden: boolean;
  /** Whether some batch entry's rule does. */
  readonly running: boolean;
  /** Of each batch entry; undefined: nothing is looked for. */
  readonly rules: readonly (SinkRule | undefined)[];
}

/** Undefined where no shift finds its sinks: there is none, or they are named. */
export function sinkSearch(
  site: AttentionSite,
  problem: Parameters<typeof operationsAt>[1],
  hooks: readonly AttentionHook[],
): SinkSearch | undefined {
  const entries = (operationsAt(site, problem, hooks) ?? []).map((map) =>
    [...map]
      .sort(([head], [other]) => head - other)
      .flatMap(([head, operations]) => [operations].flat().flatMap((operation) => searchOf(head, operation))),
  );
  const all = entries.flat();
  if (all.length === 0) return undefined;
  const rules = entries.map((searches) => (searches.length > 0 ? ruleOf(searches) : undefined));
  return {
    heads: problem.q.shape[2],
    hidden: all.some(({ sinks }) => "hidden" in sinks),
    running: rules.some((rule) => rule?.running),
    rules,
  };
}

type Search = ReturnType<typeof searchOf>[number];

function searchOf(head: number, operation: HeadOperation) {
  // What is no operation is refused when it is planned.
  if (operation?.kind !== "shift" || operation.keep === 1 || typeof operation.sinks !== "object") return [];
  const { sinks, protect } = operation;
  return sinks === null || "keys" in sinks ? [] : [{ head, sinks, protect }];
}

/** However it is written: with defaults or without, fields in any order. */
function ruleOf(searches: readonly Search[]): SinkRule {
  const written = searches.map(({ head, sinks, protect }) => {
    const spared = protectedKeys({ sinks, ...(protect && { protect }) });
    if ("hidden" in sinks) return [head, "hidden", sinks.hidden?.dims, sinks.hidden?.tau, spared];
    const threshold = sinks.received === "abs" ? sinks.theta : sinks.alpha;
    return [head, sinks.received, threshold, sinks.update ?? "prefill", spared];
  });
  return {
    text: JSON.stringify(written),
    running: searches.some(({ sinks }) => "received" in sinks && sinks.update === "running"),
  };
}

interface Searched {
  readonly batches?: number;
  readonly tokens?: number;
  /** In which passes. Default all. */
  readonly phases?: readonly AttentionSite["phase"][];
}

/** What hooks would look for in passes of a model: texts have to be read so that these see all of it. */
export function sinkSearches(
  { layers }: Pick<ModelConfig, "layers">,
  hooks: readonly AttentionHook[],
  { batches = 1, tokens = 1, phases = ["prefill", "decode"] }: Searched = {},
): readonly SinkSearch[] {
  if (hooks.length === 0) return [];
  return layers.flatMap(({ attention: { mechanism, heads, headDim } }, layer) => {
    const q = { shape: [batches, tokens, heads, headDim], dtype: "f32" } as const;
    const found = phases.map((phase) => sinkSearch(wholeSite(layer, mechanism, tokens, phase), { q }, hooks));
    return found.filter((search) => search !== undefined);
  });
}
