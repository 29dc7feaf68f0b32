import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type GgufValue, writeGguf } from "../../../test/support/gguf-writer.js";
import { readSafetensors } from "../../../test/support/safetensors.js";
import { AttentionError } from "../../dispatch/errors.js";
import { describeCheckpoint } from "../describe-checkpoint.js";
import { bytesSource } from "../sources/bytes-source.js";
import { modelFiles } from "../sources/model-files.js";
import { OpenedFiles } from "../sources/opened-files.js";
import { decode } from "./decode.js";
import { readGgufHeader } from "./gguf.js";
import { matchTensors } from "./match-tensors.js";
import { isStoredType } from "./stored-tensor.js";

const FIXTURES = new URL("../../../test/fixtures/", import.meta.url);
const file = (path: string) => new Uint8Array(readFileSync(new URL(path, FIXTURES)));
const lists: Record<string, { file: string; what: string; names: string[] }[]> = JSON.parse(
  new TextDecoder().decode(file("damaged/damaged.json")),
);
const read = (bytes: Uint8Array) => readGgufHeader(bytesSource("model.gguf", bytes));
async function describeFile(bytes: Uint8Array<ArrayBuffer>) {
  const opened = new OpenedFiles(await modelFiles(new File([bytes], "model.gguf")));
  const { config, list, files } = await describeCheckpoint(opened);
  return { config, placements: matchTensors(list, files) };
}

test("blocks of every type stand for the values that they should", async () => {
  const bytes = file("architectures/blocks.gguf");
  const expected = readSafetensors(file("architectures/blocks.safetensors")).tensors;
  const { tensors, metadata } = await read(bytes);
  expect(metadata["general.architecture"]).toBe("blocks");
  expect(tensors.map(({ name }) => name).sort()).toEqual([...expected.keys()].sort());
  for (const { name, dtype, shape, begin, end } of tensors) {
    if (!isStoredType(dtype)) throw new Error(dtype);
    const values = new Float32Array(shape.reduce((product, length) => product * length, 1));
    decode(dtype, bytes.slice(begin, end), values);
    const { data, shape: rows } = expected.get(name)!;
    expect(shape).toEqual(rows);
    // Products and differences of f32 against those of float64: ends apart only where terms cancel.
    let worst = 0;
    let largest = 0;
    values.forEach((value, place) => {
      worst = Math.max(worst, Math.abs(value - Number(data[place])));
      largest = Math.max(largest, Math.abs(Number(data[place])));
    });
    expect(worst, name).toBeLessThanOrEqual(1e-6 * largest);
  }
});

describe("models", () => {
  test.each(["gpt2-f16", "llama-f16", "llama-f32", "llama-q4_k_m", "qwen2-q8_0", "qwen3-q4_0"])(
    "%s",
    async (name) => {
      const { config, placements } = await describeFile(file(`architectures/gguf-${name}/model.gguf`));
      expect(config.architecture).toBe(name.split("-")[0]);
      expect(placements.length).toBeGreaterThan(10);
    },
  );

  test("q and k of llama are put back into order, those of qwen are not", async () => {
    const interleaved = async (name: string) =>
      (await describeFile(file(`architectures/${name}/model.gguf`))).placements
        .filter(({ target }) => target.interleavedRows !== undefined)
        .map(({ tensor }) => tensor.name);
    expect(await interleaved("gguf-llama-f32")).toEqual(["blk.0.attn_q.weight", "blk.0.attn_k.weight"]);
    expect(await interleaved("gguf-qwen2-q8_0")).toEqual([]);
  });

  test("rotary scalings, by pairs and by tensor", async () => {
    const rope = async (name: string) => {
      const { attention } = (await describeFile(file(`architectures/${name}/model.gguf`))).config.layers[0]!;
      return "rope" in attention ? attention.rope : undefined;
    };
    expect(await rope("gguf-qwen2-q8_0")).toMatchObject({
      scaling: { kind: "yarn", factor: 4, original: 16 },
    });
    expect(await rope("gguf-llama-f16")).toMatchObject({ dim: 16, scaling: { kind: "factors" } });
  });
});

/** The parser reads a truth of 2 as true, which is no harm. */
const HARMLESS = ["value-bool.gguf"];

test.each(["llama", "gpt2"])("a %s that is not causal is refused", async (architecture) => {
  const bytes = writeGguf({
    "general.architecture": architecture,
    [`${architecture}.attention.causal`]: false,
  });
  await expect(describeFile(bytes)).rejects.toMatchObject({
    code: "unsupported",
    message: expect.stringContaining(`${architecture}.attention.causal`),
  });
});

test("numbers of 64 bits within lists are refused by name where one is wanted", async () => {
  const bytes = writeGguf({
    "general.architecture": "llama",
    "llama.embedding_length": { type: "u32", value: 8 },
    "llama.attention.head_count": { type: "u64", values: [2, 2] },
  });
  await expect(describeFile(bytes)).rejects.toMatchObject({
    code: "format",
    message: expect.stringMatching(/llama\.attention\.head_count.*\[2, 2\]/),
  });
});

test.each<[string, GgufValue]>([
  ["version", "x"],
  ["version", { type: "u32", value: 3 }],
  ["tensor_count", { type: "u32", value: 0 }],
  ["kv_count", "abc"],
  ["kv_count", { type: "f32", value: 1.5 }],
  ["kv_count", { type: "u32", value: 1 }],
])("pairs named as what the parser adds are refused: %s %o", async (name, value) => {
  const bytes = writeGguf({ "general.architecture": "llama", [name]: value });
  await expect(read(bytes)).rejects.toMatchObject({
    code: "format",
    message: expect.stringContaining(`none of them version, tensor_count, kv_count`),
  });
});

test("a count of its own does not hide that a pair stands there twice", async () => {
  const bytes = writeGguf({
    "general.architecture": "llama",
    "general.architecturf": "gpt2",
    kv_count: { type: "u32", value: 1 },
  });
  const place = Buffer.from(bytes).indexOf("general.architecturf");
  bytes[place + "general.architectur".length] = "e".charCodeAt(0);
  await expect(read(bytes)).rejects.toMatchObject({
    code: "format",
    message: expect.stringContaining("general.architecture: expected 3"),
  });
});

describe("damaged files", () => {
  test.each(lists.gguf!.filter(({ file }) => !HARMLESS.includes(file)))(
    "$file: $what",
    async ({ file: name, names }) => {
      const error = await describeFile(file(`damaged/gguf/${name}`)).then(
        () => undefined,
        (reason) => reason,
      );
      expect(error).toBeInstanceOf(AttentionError);
      expect(["format", "unsupported"]).toContain(error.code);
      // What the parser itself refuses is told in its words, which do not name the key.
      const own = error.message.includes("expected a GGUF file");
      for (const word of own ? [] : names) expect(error.message).toContain(word);
    },
  );

  test.each(lists["gguf-sound"]!)("$file is sound: $what", async ({ file: name }) => {
    await read(file(`damaged/gguf-sound/${name}`));
  });

  test("the undamaged checkpoint", async () => {
    await describeFile(file("damaged/checkpoint-gguf/model.gguf"));
  });

  test.each(lists["checkpoint-gguf"]!)("$file: $what", async ({ file: name, names }) => {
    const refused = describeFile(file(`damaged/checkpoint-gguf/${name}`));
    const error: AttentionError = await refused.then(
      () => undefined,
      (reason) => reason,
    );
    expect(["format", "unsupported"]).toContain(error?.code);
    for (const word of names) expect(error.message).toContain(word);
  });

  test("whatever is broken, with a typed error, or else the tensors lie within the file", async () => {
    const good = file("damaged/checkpoint-gguf/model.gguf");
    const damage = fc.array(fc.tuple(fc.nat(Math.min(good.length, 2000) - 1), fc.nat(255)), {
      minLength: 1,
      maxLength: 3,
    });
    await fc.assert(
      fc.asyncProperty(damage, fc.option(fc.nat(good.length)), async (changes, cut) => {
        const bytes = good.slice(0, cut ?? good.length);
        for (const [place, value] of changes) if (place < bytes.length) bytes[place] = value;
        try {
          const { tensors } = await read(bytes);
          for (const { begin, end } of tensors) expect(begin < end && end <= bytes.length).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(AttentionError);
        }
      }),
      { numRuns: 60 },
    );
  });
});
