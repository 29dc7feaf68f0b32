import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { AttentionError } from "../dispatch/errors.js";
import { qwen2 } from "./config/decoder.js";
import { Fields } from "./config/fields.js";
import type { LightningConfig } from "./config/model-config.js";
import { describeCheckpoint } from "./describe-checkpoint.js";
import { type ModelFiles, type ModelSource, modelFiles, type ReadModelFile } from "./sources/model-files.js";
import { OpenedFiles } from "./sources/opened-files.js";
import { matchTensors } from "./weights/match-tensors.js";

const FIXTURES = new URL("../../test/fixtures/architectures/", import.meta.url);
const DAMAGED = new URL("../../test/fixtures/damaged/", import.meta.url);
const folders = readdirSync(FIXTURES).filter((name) => existsSync(new URL(`${name}/config.json`, FIXTURES)));

async function describeModel(source: ModelSource) {
  const opened = new OpenedFiles(await modelFiles(source));
  const description = await describeCheckpoint(opened);
  await opened.close();
  return { ...description, placements: matchTensors(description.list, description.files) };
}

const fixture = (name: string) => describeModel(new URL(`${name}/`, FIXTURES));

test.each(folders)("%s: every tensor of the file has its place, and every place a tensor", async (name) => {
  const { placements, config } = await fixture(name);
  const filled = new Map<string, number>();
  for (const { target } of placements) {
    expect(filled.get(target.slot) ?? 0, target.slot).toBe(target.firstRow);
    filled.set(target.slot, target.firstRow + target.rows);
  }
  for (let layer = 0; layer < config.layers.length; layer++) {
    const qkv = config.layers[layer]!.attention.mechanism === "lightning" ? "qkvu" : "qkv";
    for (const part of [qkv, "out", "down"]) expect(filled.has(`layers.${layer}.${part}`)).toBe(true);
  }
});

describe("configurations", () => {
  test("llama: grouped heads, and what it leaves to defaults", async () => {
    const { config } = await fixture("llama");
    expect(config).toMatchObject({
      architecture: "llama",
      width: 24,
      context: 64,
      norm: { kind: "rms", eps: 1e-5, learned: true },
      tokens: { bos: 1, eos: [2], embeddingScale: 1 },
      head: { kind: "language", tied: false },
    });
    expect(config.layers).toHaveLength(2);
    expect(config.layers[1]).toEqual({
      attention: {
        mechanism: "softmax",
        heads: 6,
        kvHeads: 2,
        headDim: 4,
        causal: true,
        scale: 0.5,
        qkvBias: false,
        outBias: false,
        rope: { dim: 4, theta: 10000, interleaved: false, scaling: { kind: "none" } },
      },
      mlp: { hidden: 40, activation: "silu", gated: true, bias: false },
    });
  });

  test("generation_config.json names further ends", async () => {
    const read: ReadModelFile = async (path) => {
      if (path === "generation_config.json") return new TextEncoder().encode('{"eos_token_id": [2, 7]}');
      const place = new URL(`llama/${path}`, FIXTURES);
      return existsSync(place) ? readFileSync(place) : undefined;
    };
    expect((await describeModel(read)).config.tokens!.eos).toEqual([2, 7]);
  });

  test("a field that stands there twice is refused, and nesting without end", async () => {
    const config = readFileSync(new URL("llama/config.json", FIXTURES), "utf8");
    const twice = config.replace("{", '{"hidden_size": 48,');
    const deep = config.replace("{", `{"x": ${"[".repeat(50_000)}${"]".repeat(50_000)},`);
    for (const text of [twice, deep]) {
      const read: ReadModelFile = async (path) =>
        path === "config.json" ? new TextEncoder().encode(text) : undefined;
      await expect(describeModel(read)).rejects.toMatchObject({
        code: "format",
        message: expect.stringMatching(/"hidden_size" once|deeper/),
      });
    }
  });

  test("qwen2's layers slide from the 28th on where the configuration does not say", async () => {
    const config = JSON.parse(readFileSync(new URL("qwen2-sliding/config.json", FIXTURES), "utf8"));
    const { max_window_layers: _from, layer_types: _types, ...rest } = config;
    const fields = new Fields("config.json", { ...rest, num_hidden_layers: 30 });
    const windows = qwen2.config(fields).layers.map(({ attention }) => "window" in attention);
    expect(windows.indexOf(true)).toBe(28);
  });

  test("windows of mistral, qwen2 and qwen3, layer by layer", async () => {
    const windows = async (name: string) =>
      (await fixture(name)).config.layers.map(({ attention }) => "window" in attention && attention.window);
    expect(await windows("mistral")).toEqual([5, 5]);
    expect(await windows("mistral-head-dim")).toEqual([false, false]);
    expect(await windows("qwen2")).toEqual([false, false]);
    expect(await windows("qwen2-sliding")).toEqual([false, 4]);
    expect(await windows("qwen3-layer-types")).toEqual([4, false]);
  });

  test("qwen3 norms heads, qwen2 has biases of q, k and v alone", async () => {
    const three = (await fixture("qwen3")).config.layers[0]!.attention;
    expect(three).toMatchObject({ headNormEps: 1e-6, headDim: 8, qkvBias: false });
    const two = (await fixture("qwen2")).config.layers[0]!.attention;
    expect(two).toMatchObject({ qkvBias: true, outBias: false });
  });

  test("gpt2 is transposed, and may divide scores by layer", async () => {
    const { config, placements } = await fixture("gpt2-prefixed");
    const scales = config.layers.map(({ attention }) => "scale" in attention && attention.scale);
    expect(scales).toEqual([8 ** -0.5, 8 ** -0.5 / 2]);
    expect(config.layers[0]!.mlp).toEqual({ hidden: 44, activation: "gelu", gated: false, bias: true });
    const qkv = placements.find(({ target }) => target.slot === "layers.0.qkv")!;
    expect(qkv.target).toMatchObject({ rows: 72, columns: 24, transposed: true });
  });

  test("bert's heads", async () => {
    expect((await fixture("bert")).config).toMatchObject({
      head: { kind: "none" },
      pooler: true,
      normPlacement: "after",
    });
    expect((await fixture("bert-masked-lm")).config.head).toMatchObject({ kind: "masked-language" });
    const classifier = (await fixture("bert-classifier")).config.head;
    expect(classifier).toEqual({
      kind: "classifier",
      labels: ["no", "yes", "perhaps"],
      from: "pooler",
      distilled: false,
    });
  });

  test("vit and deit", async () => {
    expect((await fixture("vit")).config.image).toMatchObject({
      size: 12,
      patch: 4,
      channels: 3,
      extraTokens: 1,
    });
    const { config } = await fixture("deit");
    expect(config).toMatchObject({
      image: { extraTokens: 2 },
      head: { distilled: true },
      positions: { count: 11 },
    });
  });

  test("transnormer: decay by layer, LRPE in the first", async () => {
    const { config } = await fixture("transnormer");
    expect(config.tokens!.embeddingScale).toBeCloseTo(24 ** 0.5);
    const [first, , last] = config.layers.map(({ attention }) => attention);
    expect(first).toMatchObject({
      mechanism: "lightning",
      lrpe: { learned: true },
      scale: 1,
      activation: "silu",
    });
    expect(last).not.toHaveProperty("lrpe");
    expect((last as LightningConfig).decay[0]).toBeCloseTo(2 ** -2 * 1e-5, 12);
  });
});

/** A server of a fixture's files, without those that `without` names, which refuses what it does not have. */
const refusing = (name: string, without: readonly string[] = []): Promise<ModelFiles> =>
  modelFiles(`https://models.example/m/`, {
    retries: 0,
    fetch: (async (address: string) => {
      const path = address.split("/").at(-1)!;
      const place = new URL(`${name}/${path}`, FIXTURES);
      if (without.includes(path) || !existsSync(place)) return new Response("AccessDenied", { status: 403 });
      const file = readFileSync(place);
      return new Response(file, { headers: { "Content-Length": String(file.length) } });
    }) as typeof fetch,
  });

describe("a server that refuses access to what it does not have", () => {
  test.each(["llama", "llama-sharded", "vit"])("serves %s", async (name) => {
    const { config } = await describeModel(await refusing(name));
    expect(config).toEqual((await fixture(name)).config);
  });

  test.each(["config.json", "model.safetensors"])("is believed about %s", async (path) => {
    await expect(describeModel(await refusing("llama", [path]))).rejects.toMatchObject({
      code: "format",
      message: expect.stringMatching(new RegExp(`/${path}: .*403`)),
    });
  });
});

describe("files that are written in other ways", () => {
  /** A safetensors file with one tensor under another name, in its old place. */
  function renamed(file: Uint8Array, from: string, to: string): Uint8Array {
    const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
    const { [from]: tensor, ...rest } = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
    const header = new TextEncoder().encode(JSON.stringify({ ...rest, [to]: tensor }));
    const bytes = new Uint8Array(8 + header.length + file.length - 8 - length);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
    bytes.set(header, 8);
    bytes.set(file.subarray(8 + length), 8 + header.length);
    return bytes;
  }

  test.each([
    ["llama-tied", "model.embed_tokens.weight"],
    ["gpt2", "wte.weight"],
  ])("%s with its embedding under the name of the output matrix", async (name, embedding) => {
    const file = (path: string) => new Uint8Array(readFileSync(new URL(`${name}/${path}`, FIXTURES)));
    const read: ReadModelFile = async (path) => {
      if (path === "model.safetensors") return renamed(file(path), embedding, "lm_head.weight");
      return path === "config.json" ? file(path) : undefined;
    };
    const { placements } = await describeModel(read);
    const found = placements.find(({ target }) => target.slot === "embedding");
    expect(found?.tensor.name).toBe("lm_head.weight");
  });

  test("preprocessor_config.json says what is done to pixels, and what is not", async () => {
    const read: ReadModelFile = async (path) => {
      if (path === "preprocessor_config.json")
        return new TextEncoder().encode(
          '{"do_normalize": false, "do_rescale": true, "rescale_factor": 0.5, "image_mean": [9, 9, 9]}',
        );
      const place = new URL(`vit/${path}`, FIXTURES);
      return existsSync(place) ? readFileSync(place) : undefined;
    };
    const { image } = (await describeModel(read)).config;
    expect(image).toMatchObject({ rescale: 0.5, mean: [0, 0, 0], std: [1, 1, 1] });
  });
});

interface Damage {
  readonly file: string;
  readonly what: string;
  readonly names: readonly string[];
  readonly changes?: Record<string, unknown>;
}
const damages: Record<string, Damage[]> = JSON.parse(readFileSync(new URL("damaged.json", DAMAGED), "utf8"));

/** The files of a folder, with some in place of others. */
function filesOf(folder: string, others: Record<string, string | Uint8Array>): ReadModelFile {
  return async (path) => {
    const other = Object.hasOwn(others, path) ? others[path] : undefined;
    if (other instanceof Uint8Array) return other;
    const place = new URL(`${folder}/${other ?? path}`, DAMAGED);
    return existsSync(place) ? readFileSync(place) : undefined;
  };
}

async function expectRefused(source: ModelSource, names: readonly string[]): Promise<void> {
  const error: AttentionError = await describeModel(source).then(
    () => undefined as never,
    (reason) => reason,
  );
  expect(["format", "unsupported"]).toContain(error?.code);
  for (const name of names) expect(error.message).toContain(name);
}

const TIED = { tie_word_embeddings: true };

/** The undamaged checkpoint's configuration with some fields changed. */
function withChanges(changes: Record<string, unknown>): Uint8Array {
  const config = JSON.parse(readFileSync(new URL("checkpoint/config.json", DAMAGED), "utf8"));
  return new TextEncoder().encode(JSON.stringify({ ...config, ...changes }));
}

describe("damaged checkpoints", () => {
  test("the undamaged one is taken", async () => {
    await describeModel(filesOf("checkpoint", {}));
  });

  test.each(damages.checkpoint!)("$file: $what", async ({ file, names }) => {
    await expectRefused(filesOf("checkpoint", { "model.safetensors": file }), names);
  });

  test("an output matrix beside tied embeddings is not read, as in the published Qwen3-0.6B", async () => {
    const tied = await describeModel(filesOf("checkpoint", { "config.json": withChanges(TIED) }));
    expect(tied.placements.some(({ target }) => target.slot === "head")).toBe(false);
  });

  test.each(damages.configs!.filter(({ changes }) => JSON.stringify(changes) !== JSON.stringify(TIED)))(
    "configuration: $what $changes",
    async ({ changes, names }) => {
      await expectRefused(filesOf("checkpoint", { "config.json": withChanges(changes!) }), names);
    },
  );

  test.each(damages["checkpoint-sharded"]!)("index: $what", async ({ file, names }) => {
    const config = readFileSync(new URL("checkpoint/config.json", DAMAGED));
    const others = { "config.json": config, "model.safetensors.index.json": file };
    await expectRefused(filesOf("checkpoint-sharded", others), names);
  });
});
