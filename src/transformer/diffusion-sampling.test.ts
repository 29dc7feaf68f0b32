import { expect, test } from "vitest";
import { AttentionContext } from "webgpu-attention";
import { perturbHeads, softPag } from "webgpu-attention/hooks";
import { planningDevice } from "../../test/support/planning-device.js";
import { DiffusionModel } from "./diffusion-model.js";

const FOLDER = new URL("../../test/fixtures/native/dit/", import.meta.url);

test("a step of sampling is one submission, however many velocities guidance takes, and images come back once", async () => {
  const { device, calls } = planningDevice();
  const model = await DiffusionModel.load(await AttentionContext.create(device), FOLDER);
  const hooks = [perturbHeads([{ layer: 0, head: 1 }], softPag())];
  const steps: string[][] = [];
  const options = { labels: [3, null], noise: new Float32Array(288), steps: 3, guidance: 2.5 };
  await model.sample({
    ...{ ...options, perturbation: { w: 2, hooks } },
    onProgress: () => steps.push(calls.splice(0)),
  });
  const count = (step: string[], name: string) => step.filter((call) => call === name).length;
  for (const step of steps.slice(1)) {
    expect(count(step, "submit")).toBe(1);
    expect(count(step, "mapAsync")).toBe(0);
    expect(count(step, "createBuffer")).toBe(0);
  }
  expect(count(calls, "mapAsync")).toBe(1);
  model.destroy();
});

test("sampling stops between steps when it is aborted, and refuses factors that are none", async () => {
  const { device } = planningDevice();
  const model = await DiffusionModel.load(await AttentionContext.create(device), FOLDER);
  const options = { labels: [3], noise: new Float32Array(144), steps: 5 };
  const controller = new AbortController();
  let done = 0;
  const sampling = model.sample({
    ...{ ...options, signal: controller.signal },
    onProgress: (progress) => {
      done = progress.done;
      if (done === 2) controller.abort();
    },
  });
  await expect(sampling).rejects.toMatchObject({ code: "aborted" });
  expect(done).toBe(2);
  await expect(model.sample({ ...options, guidance: Number.NaN })).rejects.toMatchObject({ code: "shape" });
  model.destroy();
});
