import { describe, expect, test } from "vitest";
import { writeSafetensors } from "../../../test/support/safetensors-writer.js";
import { bytesSource } from "../sources/bytes-source.js";
import { modelFiles } from "../sources/model-files.js";
import { OpenedFiles } from "../sources/opened-files.js";
import { openSafetensors } from "./open-weights.js";

const json = (value: unknown) =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));

/** A model of so many shards of one tensor each. */
function sharded(count: number): Map<string, Uint8Array> {
  const names = Array.from({ length: count }, (_, index) => `model-${index}.safetensors`);
  const data = new Float32Array(1000);
  const files = new Map(
    names.map((name, index) => [
      name,
      writeSafetensors({}, { [`w${index}`]: { dtype: "F32", shape: [1000], data } }),
    ]),
  );
  const map = Object.fromEntries(names.map((name, index) => [`w${index}`, name]));
  return files.set("model.safetensors.index.json", json({ weight_map: map }));
}

test("a browser's six connections are enough for servers that ignore ranges", async () => {
  const files = sharded(8);
  const waiting: (() => void)[] = [];
  let open = 0;
  const free = () => {
    open--;
    waiting.shift()?.();
  };
  const fetch = (async (address: string) => {
    const file = files.get(address.split("/").at(-1)!);
    if (!file) return new Response("", { status: 404 });
    if (open === 6) await new Promise<void>((resolve) => waiting.push(resolve));
    open++;
    let sent = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          const piece = file.slice(sent, sent + 256);
          sent += piece.length;
          if (piece.length > 0) return controller.enqueue(piece);
          free();
          controller.close();
        },
        cancel: free,
      },
      { highWaterMark: 0 },
    );
    return new Response(body, { headers: { "Content-Length": String(file.length) } });
  }) as typeof globalThis.fetch;
  const opened = new OpenedFiles(
    await modelFiles("https://models.example/m/", { fetch, stallMs: 500, retries: 0 }),
  );
  expect(await openSafetensors((path) => opened.open(path))).toHaveLength(8);
  await opened.close();
  expect(open).toBe(0);
});

describe("a server that refuses access", () => {
  const serving = (files: ReadonlyMap<string, Uint8Array>, statuses: Readonly<Record<string, number>>) =>
    (async (address: string) => {
      const name = address.split("/").at(-1)!;
      const file = files.get(name);
      if (!file) return new Response("", { status: statuses[name] ?? statuses.other ?? 404 });
      return new Response(file.slice(), { headers: { "Content-Length": String(file.length) } });
    }) as typeof globalThis.fetch;
  const load = async (...given: Parameters<typeof serving>) => {
    const fetch = serving(...given);
    const opened = new OpenedFiles(await modelFiles("https://models.example/m/", { fetch, retries: 0 }));
    return openSafetensors((path) => opened.open(path));
  };

  test.each([401, 403])("to one file, %i, may have the model in shards", async (status) => {
    expect(await load(sharded(2), { "model.safetensors": status })).toHaveLength(2);
  });

  test.each<[string, Record<string, number>, RegExp]>([
    ["to the index, too", { other: 403 }, /model\.safetensors: .*403/],
    ["and has no index", { "model.safetensors": 403 }, /model\.safetensors: .*403/],
    ["and breaks down at the index", { "model.safetensors": 403, other: 500 }, /index\.json: .*500/],
    ["and has no shards", { "model.safetensors": 403, "model-0.safetensors": 404 }, /model-0\.safetensors/],
  ])("%s", async (_name, statuses, message) => {
    const files = sharded(1);
    files.delete("model-0.safetensors");
    if (!("model-0.safetensors" in statuses)) files.clear();
    await expect(load(files, statuses)).rejects.toMatchObject({
      code: "format",
      message: expect.stringMatching(message),
    });
  });
});

describe("an index", () => {
  const withTotal = (total: unknown) => {
    const files = sharded(1);
    const index = { metadata: { total_size: total }, weight_map: { w0: "model-0.safetensors" } };
    return files.set("model.safetensors.index.json", json(index));
  };
  const openerOf = (files: ReadonlyMap<string, Uint8Array>) => async (path: string) => {
    const file = files.get(path);
    return file && bytesSource(path, file);
  };

  test("that names a tensor twice is refused", async () => {
    const files = sharded(1);
    const twice = '{"weight_map": {"w0": "model-0.safetensors", "w0": "model-1.safetensors"}}';
    files.set("model.safetensors.index.json", json(twice));
    await expect(openSafetensors(openerOf(files))).rejects.toMatchObject({
      code: "format",
      message: expect.stringMatching(/"w0" once.*two/),
    });
  });

  test.each<[string, unknown]>([
    ["a total that is null", null],
    ["a total with a fraction, which counts parts of bytes", 3999.125],
    ["the total", 4000],
  ])("is taken with %s", async (_name, total) => {
    expect(await openSafetensors(openerOf(withTotal(total)))).toHaveLength(1);
  });

  test.each<[string, unknown]>([
    ["another total", 4004],
    ["a total that is no number", "4000"],
  ])("is refused with %s", async (_name, total) => {
    await expect(openSafetensors(openerOf(withTotal(total)))).rejects.toMatchObject({
      code: "format",
      message: expect.stringContaining("total_size"),
    });
  });

  test("bounds the headers of all shards together, and says which is too long", async () => {
    const files = sharded(3);
    const padding = "a".repeat(6 * 2 ** 20);
    for (const index of [0, 1, 2]) {
      const data = new Float32Array(1);
      const shard = writeSafetensors({ padding }, { [`w${index}`]: { dtype: "F32", shape: [1], data } });
      files.set(`model-${index}.safetensors`, shard);
    }
    await expect(openSafetensors(openerOf(files))).rejects.toMatchObject({
      code: "format",
      message: expect.stringContaining("model-2.safetensors header"),
    });
  });
});
