import { describe, expect, test } from "vitest";
import { type ModelFiles, modelFiles } from "./model-files.js";
import { OpenedFiles } from "./opened-files.js";

/** Answers with these statuses, or a file. */
const serving = (statuses: Readonly<Record<string, number>>): Promise<ModelFiles> =>
  modelFiles("https://models.example/m/", {
    retries: 0,
    fetch: (async (address: string) => {
      const status = statuses[address.split("/").at(-1)!];
      if (status !== undefined) return new Response("", { status });
      return new Response("{}", { headers: { "Content-Length": "2" } });
    }) as typeof fetch,
  });

describe("a file that a model can do without", () => {
  test.each([401, 403, 404])("is absent where its server says %i and gave another", async (status) => {
    const opened = new OpenedFiles(await serving({ "generation_config.json": status }));
    expect(await opened.read("config.json")).toHaveLength(2);
    expect(await opened.readOptional("generation_config.json")).toBeUndefined();
  });

  test.each([403, 500])("is asked for in vain where its server says %i and gave no other", async (status) => {
    const opened = new OpenedFiles(await serving({ "tokenizer.json": status }));
    await expect(opened.readOptional("tokenizer.json")).rejects.toThrow(String(status));
  });

  test("is no less needed than others while its server is out of order", async () => {
    const opened = new OpenedFiles(await serving({ "generation_config.json": 500 }));
    await opened.read("config.json");
    await expect(opened.readOptional("generation_config.json")).rejects.toThrow("500");
  });
});

test("files that are read whole have a largest size, which is that of configurations unless another is given", async () => {
  const sizes: Record<string, number> = { "config.json": 2 ** 24 + 1, "tokenizer.json": 2 ** 24 + 1 };
  const opened = new OpenedFiles({
    open: async (path) => ({
      ...{ name: path, size: sizes[path]! },
      async *stream(begin: number, end: number) {
        yield new Uint8Array(end - begin);
      },
    }),
  });
  await expect(opened.read("config.json")).rejects.toMatchObject({
    code: "limit",
    message: expect.stringContaining("config.json"),
  });
  expect(await opened.read("tokenizer.json", 2 ** 25)).toHaveLength(2 ** 24 + 1);
});
