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

describe("an index", () => {
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

  test("bounds the headers of all shards together, and says which is too long", async () => {
    const files = sharded(3);
    const padding = "a".repeat(12 * 2 ** 20);
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
