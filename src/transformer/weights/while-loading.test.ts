import { describe, expect, test } from "vitest";
import { MemoryDevice } from "../../../test/support/memory-device.js";
import { writeSafetensors } from "../../../test/support/safetensors-writer.js";
import { TensorList } from "../config/tensor-list.js";
import type { ByteSource } from "../sources/byte-source.js";
import { loadWeights } from "./load-weights.js";
import { readSafetensorsHeader } from "./safetensors.js";
import type { WeightFile } from "./stored-tensor.js";

describe("while loading", () => {
  const rows = 3000;
  const columns = 1024;
  const list = new TensorList();
  list.matrix("w", "w", rows, columns);
  const header = writeSafetensors(
    {},
    { w: { dtype: "F32", shape: [rows, columns], data: new Float32Array(0) } },
  );
  /** A file of 12 MiB that is made as it is read, in pieces of an odd size. */
  function largeFile(onPiece: () => void = () => {}): ByteSource {
    const json = JSON.stringify({
      w: { dtype: "F32", shape: [rows, columns], data_offsets: [0, 4 * rows * columns] },
    });
    const head = new Uint8Array(8 + json.length);
    head[0] = json.length;
    head.set(new TextEncoder().encode(json), 8);
    return {
      name: "large",
      size: head.length + 4 * rows * columns,
      async *stream(begin, end) {
        for (let from = begin; from < end; from += 99_999) {
          onPiece();
          const piece = new Uint8Array(Math.min(99_999, end - from));
          if (from < head.length) piece.set(head.subarray(from, from + piece.length));
          yield piece;
        }
      },
    };
  }

  test("only pieces of a large tensor are in memory", async () => {
    expect(header.length).toBeLessThan(200);
    const device = new MemoryDevice();
    const totals: number[] = [];
    const files = [await readSafetensorsHeader(largeFile())];
    const weights = await loadWeights(device.context, list, files, {
      onProgress: ({ loadedBytes, totalBytes }) => totals.push(loadedBytes, totalBytes),
    });
    expect(Math.max(...device.writes)).toBeLessThanOrEqual(4 * 2 ** 20);
    expect(device.mostPending).toBeLessThanOrEqual(40 * 2 ** 20);
    expect(totals.slice(-2)).toEqual([4 * rows * columns, 4 * rows * columns]);
    expect(weights.bytes).toBe(4 * rows * columns);
  });

  test("an abort ends it and frees what there is", async () => {
    const device = new MemoryDevice();
    const abort = new AbortController();
    let pieces = 0;
    const file = await readSafetensorsHeader(largeFile(() => ++pieces === 20 && abort.abort("enough")));
    const loading = loadWeights(device.context, list, [file], { signal: abort.signal });
    await expect(loading).rejects.toMatchObject({ code: "aborted" });
    expect(device.destroyed.size).toBe(device.bytes.size);
    expect(pieces).toBeLessThan(25);
  });

  test("a source that ends early frees what there is", async () => {
    const device = new MemoryDevice();
    const file = await readSafetensorsHeader(largeFile());
    const short: ByteSource = { ...file.source, stream: async function* () {} };
    await expect(loadWeights(device.context, list, [{ ...file, source: short }])).rejects.toMatchObject({
      code: "format",
    });
    expect(device.destroyed.size).toBe(1);
  });

  test("a device that is lost meanwhile is told", async () => {
    const device = new MemoryDevice();
    let pieces = 0;
    const file = await readSafetensorsHeader(largeFile(() => ++pieces === 20 && device.lose()));
    await expect(loadWeights(device.context, list, [file])).rejects.toMatchObject({
      code: "device-lost",
      message: expect.stringContaining("unplugged"),
    });
  });

  test("no room on the GPU is a limit", async () => {
    const device = new MemoryDevice();
    device.outOfMemory = true;
    const files = [await readSafetensorsHeader(largeFile())];
    await expect(loadWeights(device.context, list, files)).rejects.toMatchObject({ code: "limit" });
    expect(device.destroyed.size).toBe(1);
  });

  test("a source is closed when what it gave is refused, or whoever is told of it throws", async () => {
    const closed = async (loading: (file: WeightFile) => Promise<unknown>) => {
      let ended = false;
      const inner = await readSafetensorsHeader(largeFile());
      const source: ByteSource = {
        ...inner.source,
        async *stream(begin, end) {
          try {
            const nan = new Uint8Array(end - begin).fill(0xff);
            for (let from = 0; from < nan.length; from += 2 ** 20) yield nan.slice(from, from + 2 ** 20);
          } finally {
            ended = true;
          }
        },
      };
      await expect(loading({ ...inner, source })).rejects.toThrow();
      return ended;
    };
    const device = new MemoryDevice();
    expect(await closed((file) => loadWeights(device.context, list, [file]))).toBe(true);
    const onProgress = () => {
      throw new Error("the application's own");
    };
    expect(await closed((file) => loadWeights(device.context, list, [file], { onProgress }))).toBe(true);
  });

  test("a transposed matrix waits for the queue like any other", async () => {
    const transposed = new TensorList();
    transposed.transposed("w", "w", 2 ** 12, 3 * 2 ** 10);
    const json = `{"w":{"dtype":"F32","shape":[${3 * 2 ** 10},${2 ** 12}],"data_offsets":[0,${12 * 2 ** 22}]}}`;
    const head = new Uint8Array(8 + json.length);
    head[0] = json.length;
    head.set(new TextEncoder().encode(json), 8);
    const source: ByteSource = {
      name: "transposed",
      size: head.length + 12 * 2 ** 22,
      async *stream(begin, end) {
        if (begin < head.length) yield head.slice(begin, end);
        else
          for (let from = begin; from < end; from += 2 ** 22)
            yield new Uint8Array(Math.min(2 ** 22, end - from));
      },
    };
    const device = new MemoryDevice();
    await loadWeights(device.context, transposed, [await readSafetensorsHeader(source)]);
    expect(device.mostPending).toBeLessThanOrEqual(40 * 2 ** 20);
  });

  test("no time is below 0, and none goes uncounted", async () => {
    const device = new MemoryDevice();
    device.settlingMs = 200;
    const files = [await readSafetensorsHeader(largeFile())];
    const verify = () => new Promise<void>((resolve) => setTimeout(resolve, 150));
    const { times } = await loadWeights(device.context, list, files, { verify });
    expect(times.convertMs).toBeGreaterThan(0);
    // Timers may fire a millisecond early.
    expect(times.uploadMs).toBeGreaterThan(198);
    expect(times.readMs).toBeGreaterThan(148);
  });

  test("two that load on one device at once have their own errors", async () => {
    const device = new MemoryDevice();
    const [first, second] = [
      await readSafetensorsHeader(largeFile()),
      await readSafetensorsHeader(largeFile()),
    ];
    const invalid = new TensorList();
    invalid.matrix("invalid", "w", rows, columns);
    device.invalidLabel = "invalid";
    const refused = loadWeights(device.context, invalid, [first]);
    const taken = loadWeights(device.context, list, [second]);
    await expect(refused).rejects.toMatchObject({ code: "limit" });
    expect((await taken).bytes).toBe(4 * rows * columns);
  });

  test("nothing is allocated for a file that does not fit", async () => {
    const device = new MemoryDevice();
    const other = new TensorList();
    other.matrix("w", "w", columns, rows);
    const files = [await readSafetensorsHeader(largeFile())];
    await expect(loadWeights(device.context, other, files)).rejects.toMatchObject({ code: "format" });
    expect(device.bytes.size).toBe(0);
  });
});
