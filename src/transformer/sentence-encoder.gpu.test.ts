import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AttentionContext } from "webgpu-attention";
import edges from "../../test/fixtures/use-lite/edge-embeddings.json" with { type: "json" };
import golden from "../../test/fixtures/use-lite/sentences.json" with { type: "json" };
import { difference } from "../../test/support/compare.js";
import { testContext, testDevice } from "../../test/support/gpu.js";
import { useLiteSource } from "../../test/support/use-lite-source.js";
import { type EncodeProgress, type LoadProgress, SentenceEncoder } from "./index.js";

/** Per component, against the official runtime, which computes in float32 and is stored with seven decimals. */
const TOLERANCE = 1e-5;
const MEBIBYTE = 2 ** 20;

let ctx: AttentionContext;
let encoder: SentenceEncoder;
const loading: LoadProgress[] = [];
beforeAll(async () => {
  ctx = await testContext();
  encoder = await SentenceEncoder.load(ctx, await useLiteSource(), {
    onProgress: (progress) => loading.push(progress),
  });
}, 120_000);
afterAll(() => encoder.destroy());

const expectClose = (actual: Float32Array | undefined, expected: ArrayLike<number>, tolerance = TOLERANCE) =>
  expect(difference(actual!, expected).maxAbsolute).toBeLessThanOrEqual(tolerance);

test("loading reports every byte", () => {
  expect(loading.at(-1)).toEqual({ loadedBytes: 27_903_656, totalBytes: 27_903_656 });
  expect(loading[0]!.loadedBytes).toBeLessThanOrEqual(5 * MEBIBYTE);
  for (const [n, { loadedBytes }] of loading.slice(1).entries()) {
    expect(loadedBytes).toBeGreaterThan(loading[n]!.loadedBytes);
  }
});

describe("embeddings of the official runtime", () => {
  test("golden sentences in one call", async () => {
    const embeddings = await encoder.encode(golden.sentences);
    expect(embeddings).toHaveLength(golden.sentences.length);
    embeddings.forEach((embedding, n) => {
      expectClose(embedding, golden.embeddings[n]!);
    });
  });

  // Unknown tokens, more than 128 tokens, a single token, a text that opens with a colon, the empty sentence.
  test.each(edges.cases)("$sentence", async ({ sentence, embedding }) => {
    const [actual] = await encoder.encode([sentence]);
    expectClose(actual, embedding);
  });
});

describe("batches", () => {
  const mixed = [...edges.cases.map(({ sentence }) => sentence), ...golden.sentences];

  test("give what single sentences give, whatever their sizes", async () => {
    const single: Float32Array[] = [];
    for (const sentence of mixed) single.push(...(await encoder.encode([sentence])));
    const together = await encoder.encode(mixed, { batchSize: 5 });
    together.forEach((embedding, n) => {
      expectClose(embedding, single[n]!, 1e-6);
    });
  });

  test("overlapping calls keep apart", async () => {
    const [first, second] = await Promise.all([
      encoder.encode(golden.sentences),
      encoder.encode(golden.sentences.toReversed()),
    ]);
    second.toReversed().forEach((embedding, n) => {
      expectClose(embedding, first[n]!, 1e-6);
    });
  });

  test("embeddings have length 1 and memory of their own", async () => {
    const [a, b] = await encoder.encode(["one", "two"]);
    for (const embedding of [a!, b!]) {
      expect(embedding.byteLength).toBe(embedding.buffer.byteLength);
      const length = Math.hypot(...embedding);
      expect(length).toBeCloseTo(1, 5);
    }
  });

  test("no sentences", async () => {
    expect(await encoder.encode([])).toEqual([]);
  });
});

describe("progress and abort", () => {
  test("progress ends at the total", async () => {
    const seen: EncodeProgress[] = [];
    await encoder.encode(golden.sentences, { batchSize: 5, onProgress: (progress) => seen.push(progress) });
    expect(seen.map(({ done }) => done)).toEqual([5, 10, 12]);
    expect(seen.every(({ total }) => total === 12)).toBe(true);
  });

  test("an abort stops before the next batch, and the encoder lives on", async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const encoding = encoder.encode(golden.sentences, {
      batchSize: 4,
      signal: controller.signal,
      onProgress: ({ done }) => {
        seen.push(done);
        controller.abort("enough");
      },
    });
    await expect(encoding).rejects.toMatchObject({ code: "aborted", cause: "enough" });
    expect(seen).toEqual([4]);
    expect(await encoder.encode(["still there"])).toHaveLength(1);
  });

  test("loading can be aborted", async () => {
    const signal = AbortSignal.abort();
    const aborted = SentenceEncoder.load(ctx, await useLiteSource(), { signal });
    await expect(aborted).rejects.toMatchObject({ code: "aborted" });
  });
});

describe("errors", () => {
  const reader = (files: Record<string, string>) => async (path: string) => {
    if (!(path in files)) throw new Error("no such file");
    return new TextEncoder().encode(files[path]!);
  };

  test.each([
    ["a missing model", reader({})],
    ["a page instead of a model", reader({ "model.json": "<!doctype html>", "vocab.json": "[]" })],
    ["a model without weights", reader({ "model.json": "{}", "vocab.json": "[]" })],
    [
      "another model",
      reader({
        "model.json": '{ "weightsManifest": [{ "paths": [], "weights": [] }] }',
        "vocab.json": JSON.stringify(Array.from({ length: 10 }, (_, n) => [`p${n}`, -n])),
      }),
    ],
  ])("%s", async (_, source) => {
    await expect(SentenceEncoder.load(ctx, source)).rejects.toMatchObject({ code: "format" });
  });

  test("a base address without its slash", async () => {
    await expect(SentenceEncoder.load(ctx, "/models/use-lite")).rejects.toMatchObject({
      code: "unsupported",
    });
  });

  test.each([["one string"], [null], [undefined], [["ok", 3]]])("sentences %j", async (sentences) => {
    await expect(encoder.encode(sentences as never)).rejects.toMatchObject({ code: "shape" });
  });

  test("an unknown option", async () => {
    await expect(encoder.encode(["x"], { batchsize: 3 } as never)).rejects.toMatchObject({
      code: "unsupported",
    });
  });

  test.each([0, 65, 1.5, Number.NaN])("batch size %s", async (batchSize) => {
    await expect(encoder.encode(["x"], { batchSize })).rejects.toMatchObject({ code: "shape" });
  });

  test("after destroy, and on a lost device", async () => {
    const device = await testDevice();
    const other = await AttentionContext.create(device);
    const destroyed = await SentenceEncoder.load(other, await useLiteSource());
    destroyed.destroy();
    await expect(destroyed.encode(["x"])).rejects.toMatchObject({ code: "disposed" });

    const orphan = await SentenceEncoder.load(other, await useLiteSource());
    device.destroy();
    await expect(orphan.encode(["x"])).rejects.toMatchObject({ code: "device-lost" });
  });
});
