import { describe, expect, test } from "vitest";
import checkpoints from "../../../test/fixtures/native-checkpoints.json" with { type: "json" };
import { architectureOf } from "./architectures.js";
import { Fields } from "./fields.js";

type Name = keyof typeof checkpoints;
const names = Object.keys(checkpoints) as Name[];

function read(name: Name, changes: object = {}) {
  const fields = new Fields("config.json", { ...checkpoints[name].config, ...changes });
  const architecture = architectureOf(fields);
  const config = architecture.config(fields);
  return { config, list: architecture.tensors(config, new Set()) };
}

test.each(names)("%s: the tensors that it expects are those of the model that is trained", (name) => {
  const { list } = read(name);
  const expected = list.tensors.map(({ name, shape }) => [name, [...shape]]);
  expect(Object.fromEntries(expected)).toEqual(checkpoints[name].tensors);
});

describe("mechanisms", () => {
  test("moh: shared and routed heads", () => {
    expect(read("lm-moh-75").config.layers[0]!.attention).toMatchObject({
      mechanism: "moh",
      ...{ heads: 8, kvHeads: 4, sharedHeads: 2, topK: 4, causal: true, rope: { theta: 10000, dim: 24 } },
    });
  });

  test("lightning: rates by layer and head, LRPE in the first, SRMS norms", () => {
    const { config } = read("lm-lightning");
    const [first, second] = config.layers.map(({ attention }) => attention);
    expect(first).toMatchObject({
      mechanism: "lightning",
      lrpe: { base: 10000 },
      activation: "silu",
      scale: 1,
    });
    expect(second).not.toHaveProperty("lrpe");
    expect(config.norm).toEqual({ kind: "srms", eps: 1e-6, learned: false });
    expect(config.tokens!.embeddingScale).toBeCloseTo(192 ** 0.5);
  });

  test("flow: sinusoidal positions, clamp", () => {
    const { config } = read("lm-flow");
    expect(config.positions).toMatchObject({ kind: "sinusoidal", base: 10000 });
    expect(config.layers[0]!.attention).toMatchObject({ mechanism: "flow", clamp: 1, qkvBias: true });
    expect(read("lm-flow", { clamp: null }).config.layers[0]!.attention).toMatchObject({ clamp: null });
  });

  test("agent: biases of an image's grid", () => {
    const { config, list } = read("image-agent");
    expect(config.layers[0]!.attention).toMatchObject({
      mechanism: "agent",
      agents: 9,
      biasGrid: 7,
      kernel: 3,
    });
    const { target } = list.tensors.find(({ name }) => name === "blocks.0.attention.agent.ah_bias")!;
    expect(target).toMatchObject({ slot: "layers.0.agent.ah_bias", rows: 36, columns: 7 });
  });

  test("diffusion: conditions, norms without weights", () => {
    const { config } = read("dit");
    expect(config.diffusion).toMatchObject({ classes: 10, noLabel: 10, sampler: { steps: 50, guidance: 2 } });
    expect(config).toMatchObject({ norm: { kind: "layer", learned: false }, head: { kind: "patches" } });
  });

  test("each layer may have its own", () => {
    const attention = [
      { mechanism: "moh", shared_heads: 2, routed_topk: 4, router: "two-stage" },
      { sliding_window: 64 },
      { mechanism: "sale", sale_thresholds: [1, 2, 3, 4, 5, 6, 7, 8] },
      { position_embedding_type: "none" },
    ];
    const { config, list } = read("lm-softmax", { attention });
    const kinds = config.layers.map(({ attention }) => attention.mechanism);
    expect(kinds).toEqual(["moh", "softmax", "sale", "softmax"]);
    expect(config.layers[1]!.attention).toMatchObject({ window: 64 });
    expect(config.layers[3]!.attention).not.toHaveProperty("rope");
    const routers = list.tensors.filter(({ name }) => name.includes("router"));
    expect(routers.every(({ name }) => name.startsWith("blocks.0."))).toBe(true);
  });
});

describe("refuses", () => {
  test.each<[string, Name, object, RegExp]>([
    ["an unknown mechanism", "lm-softmax", { mechanism: "psychic" }, /mechanism.*psychic/],
    ["an unknown task", "lm-softmax", { task: "poetry" }, /task.*poetry/],
    ["another order of projections", "lm-softmax", { projection_order: ["k", "q", "v"] }, /projection_order/],
    ["another order of gate and value", "lm-softmax", { mlp_order: ["value", "gate"] }, /mlp_order/],
    ["no width", "lm-softmax", { width: undefined }, /width.*nothing/],
    ["a width in words", "lm-softmax", { width: "192" }, /width.*"192"/],
    ["more layers than memory", "lm-softmax", { layers: 1e9 }, /layers/],
    ["heads that do not divide the width", "lm-softmax", { heads: 7 }, /heads/],
    ["key heads that do not divide the heads", "lm-softmax", { kv_heads: 3 }, /kv_heads/],
    ["layers without a description", "lm-softmax", { attention: [{}] }, /attention.*4/],
    ["more routed heads than there are", "lm-moh-75", { routed_topk: 9 }, /routed_topk/],
    ["another router", "lm-moh-75", { router: "oracle" }, /router/],
    ["rates below zero", "lm-lightning", { slopes: Array(4).fill(Array(8).fill(-1)) }, /slopes/],
    ["rates of too few layers", "lm-lightning", { slopes: [Array(8).fill(1)] }, /slopes.*4 lists/],
    [
      "lightning over images",
      "image-softmax",
      { mechanism: "lightning", projection_order: ["q", "k", "v", "u"] },
      /language/,
    ],
    ["agents over text", "lm-softmax", { mechanism: "agent", kv_heads: 8 }, /image/],
    ["agents that are no square", "image-agent", { agents: 8 }, /square/],
    ["patches that do not divide the image", "dit", { patch: 5 }, /patch/],
    ["another prediction", "dit", { predicts: "noise" }, /predicts/],
    [
      "weights in another library's form",
      "lm-softmax",
      { quantization_config: { bits: 4 } },
      /quantization_config/,
    ],
  ])("%s", (_name, name, changes, message) => {
    expect(() => read(name, changes)).toThrow(message);
  });

  test("an architecture that is not known, by its name", () => {
    const fields = new Fields("config.json", { model_type: "mamba" });
    expect(() => architectureOf(fields)).toThrow(expect.objectContaining({ code: "unsupported" }));
    expect(() => architectureOf(fields)).toThrow(/mamba/);
    expect(() => architectureOf(new Fields("config.json", { model_type: "toString" }))).toThrow(/toString/);
    expect(() => architectureOf(new Fields("config.json", {}))).toThrow(/model_type/);
  });
});
