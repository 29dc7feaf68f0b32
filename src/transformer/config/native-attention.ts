import { readActivation } from "./activations.js";
import { layerDecays } from "./decay.js";
import type { Fields } from "./fields.js";
import type { AttentionConfig, LightningConfig } from "./model-config.js";
import { readRope } from "./read-rope.js";
import type { RopeConfig } from "./rope.js";

interface Place {
  readonly index: number;
  readonly layers: number;
  readonly width: number;
  readonly causal: boolean;
  /** Rows and columns of an image's patches. */
  readonly grid?: number;
}

const MECHANISMS = ["softmax", "sale", "moh", "lightning", "flow", "agent"] as const;

/** The attention of one layer of a native configuration. */
export function readAttention(fields: Fields, place: Place): AttentionConfig {
  const mechanism = fields.choice("mechanism", MECHANISMS);
  const heads = fields.heads("heads");
  if (place.width % heads !== 0) throw fields.wrong("heads", `a divisor of width (${place.width})`);
  const headDim = fields.size("head_dim", place.width / heads);
  const kvHeads = fields.heads("kv_heads", heads);
  if (heads % kvHeads !== 0) throw fields.wrong("kv_heads", `a divisor of the ${heads} heads`);
  if (fields.boolean("is_causal", place.causal) !== place.causal) {
    throw fields.unsupported("is_causal", String(place.causal));
  }
  const bias = fields.boolean("attention_bias");
  const shared = { heads, kvHeads, headDim, causal: place.causal, qkvBias: bias, outBias: bias };
  checkProjections(fields, mechanism === "lightning" ? ["q", "k", "v", "u"] : ["q", "k", "v"]);
  const scale = () => fields.number("scaling", headDim ** -0.5);
  const onlyEqualHeads = () => {
    if (kvHeads !== heads)
      throw fields.unsupported("kv_heads", `${heads}, as many as heads, for ${mechanism}`);
  };
  switch (mechanism) {
    case "softmax":
      return { mechanism, ...shared, ...readScored(fields, headDim, scale()) };
    case "sale":
      if (!place.causal) throw fields.unsupported("mechanism", '"sale" in language models only');
      return {
        ...{ mechanism, ...shared, ...readScored(fields, headDim, scale()) },
        thresholds: fields.numbers("sale_thresholds", heads),
      };
    case "moh":
      return { mechanism, ...shared, ...readScored(fields, headDim, scale()), ...readRouter(fields, heads) };
    case "lightning":
      onlyEqualHeads();
      if (!place.causal) throw fields.unsupported("mechanism", '"lightning" in language models only');
      return { mechanism, ...shared, ...readLightning(fields, place, heads) };
    case "flow":
      onlyEqualHeads();
      fields.choice("feature_map", ["sigmoid"]);
      fields.choice("flow_variant", ["core"]);
      return {
        ...{ mechanism, ...shared, featureMap: "sigmoid", variant: "core", eps: fields.positive("flow_eps") },
        clamp: fields.has("clamp") ? fields.positive("clamp") : null,
      };
    case "agent":
      onlyEqualHeads();
      return { mechanism, ...shared, scale: scale(), ...readAgents(fields, place) };
  }
}

function checkProjections(fields: Fields, order: readonly string[]): void {
  const given = fields.has("projection_order") ? fields.list("projection_order") : order;
  if (given.length === order.length && given.every((part, index) => part === order[index])) return;
  throw fields.unsupported("projection_order", JSON.stringify(order));
}

function readScored(
  fields: Fields,
  headDim: number,
  scale: number,
): { scale: number; rope?: RopeConfig; window?: number; headNormEps?: number } {
  const turned = fields.string("position_embedding_type") === "rope";
  return {
    scale,
    ...(turned && {
      rope: { ...readRope(fields, headDim), interleaved: fields.boolean("rope_interleave", false) },
    }),
    ...(fields.has("sliding_window") && { window: fields.size("sliding_window") }),
  };
}

function readRouter(fields: Fields, heads: number): { sharedHeads: number; topK: number } {
  fields.choice("router", ["two-stage"]);
  fields.refuse("router_bias", [false]);
  const sharedHeads = fields.size("shared_heads", undefined, 0);
  const topK = fields.size("routed_topk", undefined, 0);
  if (sharedHeads <= heads && topK <= heads - sharedHeads && sharedHeads + topK > 0)
    return { sharedHeads, topK };
  throw fields.wrong("routed_topk", `with shared_heads from 1 to the ${heads} heads together`);
}

type LightningFields = Pick<LightningConfig, "scale" | "activation" | "decay" | "lrpe" | "outputNormEps">;

function readLightning(fields: Fields, { index, layers }: Place, heads: number): LightningFields {
  fields.choice("output_norm", ["srmsnorm"]);
  const lrpeLayers = fields.has("lrpe_layers") ? fields.list("lrpe_layers") : [];
  if (lrpeLayers.length > layers) throw fields.wrong("lrpe_layers", `at most ${layers} numbers of layers`);
  const turned = lrpeLayers.includes(index);
  const all = fields.has("slopes") ? fields.list("slopes") : undefined;
  if (all && all.length !== layers) throw fields.wrong("slopes", `${layers} lists, one for each layer`);
  const given = all?.[index];
  const decay = layerDecays(fields, "heads", heads, layers);
  const slopes = fields.with({ slopes: given }).numbers("slopes", heads, decay(index));
  if (!slopes.every((slope) => slope >= 0))
    throw fields.wrong("slopes", "rates from 0 on, a list for each layer");
  return {
    scale: fields.number("scaling", 1),
    activation: readActivation(fields, "qk_act"),
    decay: slopes,
    ...(turned && { lrpe: { base: fields.positive("lrpe_base") } }),
    outputNormEps: fields.positive("rms_norm_eps"),
  };
}

function readAgents(fields: Fields, { grid }: Place): { agents: number; biasGrid: number; kernel: number } {
  if (grid === undefined) throw fields.unsupported("mechanism", '"agent" in image models only');
  fields.choice("agent_pooling", ["adaptive_average"]);
  fields.choice("agent_bias_resize", ["bilinear"]);
  const agents = fields.size("agents");
  if (!Number.isInteger(Math.sqrt(agents))) throw fields.wrong("agents", "a square number");
  const kernel = fields.size("conv_kernel");
  if (kernel % 2 === 0) throw fields.wrong("conv_kernel", "an odd number");
  return { agents, biasGrid: fields.size("agent_bias_grid"), kernel };
}
