import { describe, expect, test } from "vitest";
import { readTfjsWeights, type TfjsWeightManifest, type TfjsWeightProgress } from "./tfjs-weights.js";

const floats = (...values: number[]) => new Float32Array(values).buffer;

/** Two shards; `b` straddles them, `c` is a scalar, `d` is empty. */
const manifest: TfjsWeightManifest = [
  {
    paths: ["one", "two"],
    weights: [
      { name: "a", shape: [2], dtype: "float32" },
      { name: "d", shape: [0, 3], dtype: "float32" },
      { name: "b", shape: [2, 2], dtype: "float32" },
      { name: "c", shape: [], dtype: "int32" },
    ],
  },
];
const bytes = new Uint8Array(28);
bytes.set(new Uint8Array(floats(1, 2, 3, 4, 5, 6)));
bytes.set(new Uint8Array(new Int32Array([-7]).buffer), 24);

/** A reader of the bytes, cut into shards after `cut` bytes. */
const cutAt = (cut: number) => async (path: string) =>
  (path === "one" ? bytes.slice(0, cut) : bytes.slice(cut)).buffer;

const withWeight = (weight: object) =>
  [{ paths: ["one"], weights: [weight] }] as unknown as TfjsWeightManifest;

test.each([0, 7, 8, 12, 17, 24, 28])("tensors are the same wherever shards are cut (%i)", async (cut) => {
  const tensors = await readTfjsWeights(manifest, cutAt(cut));
  expect([...tensors.keys()]).toEqual(["a", "d", "b", "c"]);
  expect(tensors.get("a")).toEqual({ dtype: "float32", shape: [2], data: new Float32Array([1, 2]) });
  expect(tensors.get("b")).toEqual({ dtype: "float32", shape: [2, 2], data: new Float32Array([3, 4, 5, 6]) });
  expect(tensors.get("c")).toEqual({ dtype: "int32", shape: [], data: new Int32Array([-7]) });
  expect(tensors.get("d")?.data.length).toBe(0);
});

test("a tensor may span more than two shards", async () => {
  const spread = [{ paths: ["0", "1", "2", "3"], weights: [{ name: "w", shape: [4], dtype: "float32" }] }];
  const tensors = await readTfjsWeights(spread, async (path) => floats(Number(path)));
  expect(tensors.get("w")?.data).toEqual(new Float32Array([0, 1, 2, 3]));
});

test("tensors inside one shard are views of it", async () => {
  const shard = bytes.slice().buffer;
  const tensors = await readTfjsWeights([{ ...manifest[0]!, paths: ["all"] }], async () => shard);
  for (const name of ["a", "b", "c"]) expect(tensors.get(name)?.data.buffer).toBe(shard);
});

test("a shard may be a view with an offset of its own", async () => {
  const padded = new Uint8Array(31);
  padded.set(bytes, 3);
  const tensors = await readTfjsWeights([{ ...manifest[0]!, paths: ["all"] }], async () =>
    padded.subarray(3),
  );
  expect(tensors.get("b")?.data).toEqual(new Float32Array([3, 4, 5, 6]));
});

test("progress ends at the total", async () => {
  const seen: TfjsWeightProgress[] = [];
  await readTfjsWeights(manifest, cutAt(12), { onProgress: (progress) => seen.push(progress) });
  expect(seen).toEqual([
    { loadedBytes: 12, totalBytes: 28 },
    { loadedBytes: 28, totalBytes: 28 },
  ]);
});

describe("format errors", () => {
  const fails = (from: TfjsWeightManifest, read: (path: string) => Promise<ArrayBuffer> = cutAt(12)) =>
    expect(readTfjsWeights(from, read)).rejects;

  test("a missing shard is named", async () => {
    const cause = new Error("404");
    const read = async (path: string) => (path === "two" ? Promise.reject(cause) : cutAt(12)(path));
    await fails(manifest, read).toMatchObject({ code: "format", cause, details: { subject: "shard two" } });
    await fails(manifest, async () => undefined as unknown as ArrayBuffer).toMatchObject({ code: "format" });
  });

  test("a shard reader that throws instead of rejecting", async () => {
    const read = () => {
      throw new Error("no such file");
    };
    await fails(manifest, read).toMatchObject({ code: "format" });
  });

  test.each([
    ["truncated", -4],
    ["too long", 4],
  ])("a %s shard", async (_, change) => {
    await fails(manifest, async () => new ArrayBuffer(14 + change)).toMatchObject({ code: "format" });
  });

  test.each(["float16", "bool", "string", undefined])("dtype %s", async (dtype) => {
    await fails(withWeight({ name: "w", shape: [1], dtype })).toMatchObject({ code: "format" });
  });

  test.each([[[-1]], [[1.5]], [[2 ** 31, 2 ** 31]], [[65536, 65536]], [[Number.NaN]], ["4"], [undefined]])(
    "shape %j",
    async (shape) => {
      const read = async () => expect.unreachable("a bad manifest must be refused before anything is read");
      await fails(withWeight({ name: "w", shape, dtype: "float32" }), read).toMatchObject({
        code: "format",
        details: { subject: "shape of w" },
      });
    },
  );

  test("quantized weights, doubled names and malformed groups", async () => {
    const weight = { name: "w", shape: [1], dtype: "float32" };
    const doubled = [{ paths: ["one"], weights: [weight, weight] }];
    await fails(withWeight({ ...weight, quantization: { dtype: "uint8" } })).toMatchObject({
      code: "format",
    });
    await fails(doubled).toMatchObject({ code: "format" });
    await fails([{}] as unknown as TfjsWeightManifest).toMatchObject({ code: "format" });
    await fails({} as unknown as TfjsWeightManifest).toMatchObject({ code: "format" });
    await fails(withWeight({ ...weight, name: 1 })).toMatchObject({ code: "format" });
  });
});

describe("abort", () => {
  test("before the start nothing is read", async () => {
    const read = async () => expect.unreachable("read after abort");
    const signal = AbortSignal.abort();
    await expect(readTfjsWeights(manifest, read, { signal })).rejects.toMatchObject({ code: "aborted" });
  });

  test("does not wait for a read that hangs", async () => {
    const controller = new AbortController();
    const reading = readTfjsWeights(manifest, () => new Promise(() => {}), { signal: controller.signal });
    controller.abort("enough");
    await expect(reading).rejects.toMatchObject({ code: "aborted", cause: "enough" });
  });
});
