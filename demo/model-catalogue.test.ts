import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { catalogueEntry } from "./catalogue-entry.js";
import { fetchOf, mechanismTitle } from "./common/catalogue.js";
import { readCatalogue } from "./model-catalogue.js";

const MODELS = fileURLToPath(new URL("./public/models", import.meta.url));
const FIXTURES = fileURLToPath(new URL("../test/fixtures/native", import.meta.url));

describe("files of a model", () => {
  it("are asked for only where they are", async () => {
    const ask = fetchOf({ url: "http://localhost/models/a/", files: ["config.json"] });
    expect((await ask("http://localhost/models/a/chat_template.jinja")).status).toBe(404);
    // Nobody listens there, so that asking fails.
    await expect(ask(new URL("http://localhost:1/models/a/config.json"))).rejects.toThrow();
  });
});

describe("the models' catalogue", () => {
  it("has every shipped model, with its figures", async () => {
    const models = await readCatalogue(MODELS);
    const shipped = readdirSync(MODELS).filter((name) => existsSync(`${MODELS}/${name}/model.safetensors`));
    expect(models.map(({ name }) => name)).toEqual(shipped.sort());
    const softmax = models.find(({ name }) => name === "lm-softmax")!;
    expect(softmax).toMatchObject({ task: "language", context: 512, parameters: 1_869_504 });
    expect(softmax.bitsPerByte).toBeCloseTo(1.5539, 3);
    expect(softmax.files).toEqual(readdirSync(`${MODELS}/lm-softmax`).sort());
    expect(softmax).not.toHaveProperty("continues");
    expect(models.find(({ name }) => name === "lm-moh-75")).toMatchObject({ continues: "lm-softmax" });
    expect(softmax.layers).toEqual(Array(4).fill({ mechanism: "softmax", heads: 8 }));
    expect(models.find(({ name }) => name === "image-softmax")!.classes).toContain("ankle boot");
    expect(mechanismTitle(models.find(({ name }) => name === "lm-moh-75")!)).toBe(
      "Mixture-of-head attention, 75 % of the heads on",
    );
  });

  it("says how a diffusion transformer samples, and does without figures", async () => {
    const dit = (await readCatalogue(FIXTURES)).find(({ name }) => name === "dit")!;
    expect(dit).toMatchObject({ task: "diffusion", sampler: { steps: 50, guidance: 2 } });
    expect(dit.classes).toHaveLength(10);
    expect(dit).not.toHaveProperty("parameters");
  });

  it("knows a mechanism for each layer", () => {
    const attention = [{}, { mechanism: "lightning", heads: 2 }];
    const config = { task: "language", layers: 2, heads: 4, mechanism: "softmax", attention };
    const entry = catalogueEntry("mixed", config, undefined, 1, []);
    expect(entry.layers).toEqual([
      { mechanism: "softmax", heads: 4 },
      { mechanism: "lightning", heads: 2 },
    ]);
    expect(mechanismTitle(entry)).toBe("Softmax attention and Lightning attention");
  });
});
