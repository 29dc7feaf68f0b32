import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AttentionContext } from "../../src/index.js";
import { testContext } from "../../test/support/gpu.js";
import { planImage, planPatches } from "./index.js";
import { TestTensors } from "./test-tensors.js";

const [BATCHES, CHANNELS, HEIGHT, WIDTH, PATCH] = [2, 3, 4, 6, 2];
const TOKENS = (HEIGHT / PATCH) * (WIDTH / PATCH);
const DIM = CHANNELS * PATCH * PATCH;

/** Patches by loops over rows and columns of patches, as a convolution visits them. */
function patchesReference(image: Float32Array, channelsLast: boolean): Float32Array {
  const out: number[] = [];
  const pixel = (b: number, c: number, y: number, x: number) =>
    image[((b * CHANNELS + c) * HEIGHT + y) * WIDTH + x]!;
  for (let b = 0; b < BATCHES; b++) {
    for (let top = 0; top < HEIGHT; top += PATCH) {
      for (let left = 0; left < WIDTH; left += PATCH) {
        const own = new Array<number>(DIM);
        for (let c = 0; c < CHANNELS; c++) {
          for (let n = 0; n < PATCH * PATCH; n++) {
            const at = channelsLast ? n * CHANNELS + c : c * PATCH * PATCH + n;
            own[at] = pixel(b, c, top + Math.floor(n / PATCH), left + (n % PATCH));
          }
        }
        out.push(...own);
      }
    }
  }
  return Float32Array.from(out);
}

describe("patches", () => {
  let ctx: AttentionContext;
  let tensors: TestTensors;
  beforeAll(async () => {
    ctx = await testContext();
    tensors = new TestTensors(ctx);
  });
  afterAll(() => tensors.destroy());

  test.each(["channels-first", "channels-last"] as const)("of images, %s, and back", async (order) => {
    const data = tensors.normal(BATCHES * CHANNELS * HEIGHT * WIDTH);
    const image = tensors.uploadSparse(data, [BATCHES, CHANNELS, HEIGHT, WIDTH]);
    const patches = tensors.empty([BATCHES, TOKENS, 1, DIM]);
    const cut = await planPatches(ctx, { x: image, patchSize: PATCH, order });
    const actual = await tensors.run(cut, { x: image, out: patches });
    expect(actual).toEqual(patchesReference(data, order === "channels-last"));
    const out = tensors.empty([BATCHES, CHANNELS, HEIGHT, WIDTH]);
    const back = await planImage(ctx, { x: patches, out, patchSize: PATCH, order });
    expect(await tensors.run(back, { x: patches, out })).toEqual(data);
  });

  test("of a side that does not divide the image are refused", async () => {
    const image = tensors.empty([1, 1, 4, 6]);
    await expect(planPatches(ctx, { x: image, patchSize: 4 })).rejects.toMatchObject({ code: "shape" });
    const x = tensors.empty([1, 5, 1, 4]);
    await expect(planImage(ctx, { x, out: image, patchSize: 2 })).rejects.toMatchObject({ code: "shape" });
    const order = "hwc" as never;
    await expect(planPatches(ctx, { x: image, patchSize: 2, order })).rejects.toMatchObject({
      code: "unsupported",
    });
  });
});
