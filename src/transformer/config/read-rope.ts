import type { Fields } from "./fields.js";
import type { RopeConfig, RopeScaling } from "./rope.js";

/** What a Hugging Face configuration says of rotary embedding: `rope_parameters`, or `rope_scaling` and `rope_theta`. */
export function readRope(fields: Fields, headDim: number): RopeConfig {
  const parameters = fields.object("rope_parameters") ?? fields.object("rope_scaling") ?? fields.with({});
  const share = parameters.number("partial_rotary_factor", fields.number("partial_rotary_factor", 1));
  const dim = Math.floor(headDim * share);
  if (dim < 2 || dim > headDim || dim % 2 !== 0) {
    throw fields.wrong(
      fields.has("head_dim") ? "head_dim" : "hidden_size",
      "an even number of rotated channels of a head",
    );
  }
  const theta = parameters.positive("rope_theta", fields.positive("rope_theta", 10_000));
  const own = parameters.file !== fields.file;
  return {
    dim,
    theta,
    interleaved: false,
    scaling: own ? readScaling(parameters, fields, dim) : { kind: "none" },
  };
}

function readScaling(parameters: Fields, fields: Fields, dim: number): RopeScaling {
  const name = parameters.has("rope_type") ? "rope_type" : "type";
  const kind = parameters.choice(
    name,
    ["default", "linear", "dynamic", "ntk", "llama3", "yarn", "longrope", "su"],
    "default",
  );
  const trained = () => fields.size("max_position_embeddings");
  switch (kind) {
    case "default":
      return { kind: "none" };
    case "linear":
      return { kind, factor: parameters.positive("factor") };
    case "dynamic":
    case "ntk":
      if (dim < 4) throw parameters.unsupported(name, "at least 4 rotated channels of a head");
      return { kind: "dynamic", factor: parameters.positive("factor"), original: trained() };
    case "llama3": {
      const lowFrequencyFactor = parameters.positive("low_freq_factor");
      const highFrequencyFactor = parameters.positive("high_freq_factor");
      if (highFrequencyFactor <= lowFrequencyFactor)
        throw parameters.wrong("high_freq_factor", "more than low_freq_factor");
      const original = originalOwner(parameters, fields)?.size(ORIGINAL) ?? trained();
      return {
        kind,
        factor: parameters.positive("factor"),
        lowFrequencyFactor,
        highFrequencyFactor,
        original,
      };
    }
    case "yarn": {
      const factor = parameters.positive("factor");
      return {
        ...{ kind, factor, original: originalOwner(parameters, fields)?.size(ORIGINAL) ?? trained() },
        betaFast: parameters.number("beta_fast", 32) || 32,
        betaSlow: parameters.number("beta_slow", 1) || 1,
        truncate: parameters.boolean("truncate", true),
        attentionFactor: yarnAttentionFactor(parameters, factor),
      };
    }
    case "longrope":
    case "su":
      return readLongRope(parameters, fields, dim);
  }
}

function yarnAttentionFactor(parameters: Fields, factor: number): number {
  if (parameters.has("attention_factor")) return parameters.positive("attention_factor");
  const magnitude = (scale: number) => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  const [own, all] = [parameters.number("mscale", 0), parameters.number("mscale_all_dim", 0)];
  return own !== 0 && all !== 0 ? magnitude(own) / magnitude(all) : magnitude(1);
}

const ORIGINAL = "original_max_position_embeddings";

/** The original context stands beside `rope_scaling` (Phi-3) or in it; without it, the trained one is the original one. */
function originalOwner(parameters: Fields, fields: Fields): Fields | undefined {
  return [fields, parameters].find((one) => one.has(ORIGINAL));
}

function readLongRope(parameters: Fields, fields: Fields, dim: number): RopeScaling {
  const longest = fields.size("max_position_embeddings");
  const own = originalOwner(parameters, fields);
  const original = own?.size(ORIGINAL) ?? longest;
  const factor = own ? longest / original : parameters.positive("factor", 1);
  const published = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  const divisors = (list: string) => {
    const values = parameters.numbers(list, dim / 2);
    if (values.every((value) => value > 0)) return values;
    throw parameters.wrong(list, `${dim / 2} numbers above 0`);
  };
  return {
    kind: "longrope",
    short: divisors("short_factor"),
    long: divisors("long_factor"),
    original,
    attentionFactor: parameters.positive("attention_factor", published),
  };
}
