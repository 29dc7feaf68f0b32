import { expect, test } from "vitest";
import { testContext } from "../../test/support/gpu.js";
import { loadCheckpoint } from "./load-checkpoint.js";
import { loadTokenizer } from "./tokenizer/load-tokenizer.js";

/** In a browser a relative address behind the test server, kept in the Cache API; in Node a folder. */
const isBrowser = typeof process === "undefined";
const source = isBrowser
  ? "/demo/public/models/lm-softmax/"
  : new URL("../../demo/public/models/lm-softmax/", import.meta.url);

test("a model and its tokenizer, where the runtime keeps them", async () => {
  const ctx = await testContext();
  const options = isBrowser ? { cache: "webgpu-attention tests" } : {};
  const sums: number[] = [];
  // The second time, a browser's weights come from its cache.
  for (let time = 0; time < 2; time++) {
    const { config, weights } = await loadCheckpoint(ctx, source, options);
    expect(config.layers).toHaveLength(4);
    const norm = await ctx.read(weights.view("norm.weight"));
    sums.push(norm.reduce((sum, value) => sum + value, 0));
    weights.destroy();
  }
  expect(sums[0]).toBe(sums[1]);
  const tokenizer = await loadTokenizer(source, options);
  expect(tokenizer.decode(tokenizer.encode("It was a fine morning"))).toBe("It was a fine morning");
});
