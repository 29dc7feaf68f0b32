import type { CatalogueModel } from "./common/catalogue.js";
import type { LayerHeads } from "./common/heads.js";

type Json = Readonly<Record<string, unknown>>;

/**
 * What pages are told of a model.
 *
 * @param config its `config.json`
 * @param training its `training.json`; without one it has no figures
 * @param bytes of the weights' file
 * @param files names of all its files
 */
export function catalogueEntry(
  name: string,
  config: Json,
  training: Json | undefined,
  bytes: number,
  files: readonly string[],
): CatalogueModel {
  const figures = (training?.figures ?? {}) as Json;
  const continued = ((training?.recipe ?? {}) as { from?: string | null }).from;
  const labels = config.id2label as Readonly<Record<string, string>> | undefined;
  const sampler = config.sampler as { steps: number; guidance_scale: number } | undefined;
  const layers = layersOf(config);
  return {
    ...{ name, task: String(config.task), layers, bytes, files },
    ...numbers({
      context: config.context,
      activeShare: activeShare(config),
      parameters: training?.parameters,
      trainingSteps: training?.steps,
      bitsPerByte: figures.bits_per_byte,
      accuracy: figures.test_accuracy,
      recognised: figures.recognised,
    }),
    ...(continued && { continues: continued }),
    ...(labels && { classes: Object.keys(labels).map((_, index) => labels[index]!) }),
    ...(sampler && { sampler: { steps: sampler.steps, guidance: sampler.guidance_scale } }),
  };
}

/** `attention` may have an object for each layer, whose keys take the place of the configuration's own. */
function layersOf(config: Json): LayerHeads[] {
  const own = Array.isArray(config.attention) ? (config.attention as readonly Json[]) : [];
  return Array.from({ length: Number(config.layers) }, (_, index) => {
    const { mechanism, heads } = { ...config, ...own[index] };
    return { mechanism: String(mechanism), heads: Number(heads) };
  });
}

function activeShare({ mechanism, heads, shared_heads, routed_topk }: Json): number | undefined {
  if (mechanism !== "moh") return undefined;
  return (Number(shared_heads) + Number(routed_topk)) / Number(heads);
}

function numbers<Name extends string>(
  fields: Readonly<Record<Name, unknown>>,
): Partial<Record<Name, number>> {
  const known = Object.entries(fields).filter(([, value]) => Number.isFinite(value));
  return Object.fromEntries(known) as Partial<Record<Name, number>>;
}
