import { afterAll, describe, expect, test, vi } from "vitest";
import { testContext } from "../../test/support/gpu.js";
import { andMasks, causalMask, planSoftmaxAttention, softmaxAttention } from "./index.js";

describe("what is wrong with a mod is said before anything is submitted", () => {
  const layout = { dtype: "f32", shape: [1, 20, 2, 8] } as const;
  const buffers: GPUBuffer[] = [];
  afterAll(() => {
    for (const buffer of buffers) buffer.destroy();
  });

  test.each<[string, object, string, RegExp]>([
    [
      "an unknown name on line 3",
      { scoreMod: { wgsl: "let a = score;\n\nreturn a + nothing;" } },
      "compile",
      /^scoreMod\.wgsl, line 3, column 12: .*nothing/s,
    ],
    [
      "in a leaf of a composed mask",
      {
        maskMod: andMasks(
          causalMask(),
          { wgsl: "return i < j\n;", constants: { a: 1 } },
          { wgsl: "return\n 1u;" },
        ),
      },
      "compile",
      /^maskMod\.and\[2\]\.wgsl, line [12], column \d+: /,
    ],
    [
      "in a function of its own",
      { scoreMod: { wgsl: "return own(score);", functions: "fn own(s: f32) -> f32 {\n  return s + 1u;\n}" } },
      "compile",
      /^scoreMod\.functions, line 2, column \d+: /,
    ],
    [
      "a body that closes its function",
      { maskMod: { wgsl: "return true; } fn other() {" } },
      "compile",
      /maskMod\.wgsl: .*too many/,
    ],
    ["a body that never ends", { maskMod: { wgsl: "if (i > j) { return true;" } }, "compile", /not closed/],
    ["no body", { scoreMod: { body: "return score;" } }, "shape", /scoreMod: expected \{ wgsl/],
    [
      "an option that is not there",
      { scoreMod: { wgsl: "return score;", binding: {} } },
      "unsupported",
      /binding/,
    ],
    ["an empty and", { maskMod: { and: [] } }, "shape", /maskMod\.and: expected masks/],
    [
      "a constant that is no number",
      { scoreMod: { wgsl: "return score;", constants: { a: Number.NaN } } },
      "shape",
      /constants\.a/,
    ],
    [
      "a body that may end without a value",
      { maskMod: { wgsl: "if (i > j) {\n  return true;\n}" } },
      "compile",
      /^maskMod\.wgsl, line 3, column 1: /,
    ],
    ["an empty body", { scoreMod: { wgsl: "" } }, "compile", /^scoreMod\.wgsl, line 1, column 1: /],
    [
      "behind names that the program changes",
      {
        scoreMod: {
          wgsl: "return a * a + own(nothing);",
          functions: "fn own(x: f32) -> f32 { return x; }",
          constants: { a: 2 },
        },
      },
      "compile",
      /^scoreMod\.wgsl, line 1, column 20: .*'nothing'/s,
    ],
    [
      "a type that is none",
      {
        scoreMod: {
          wgsl: "return score;",
          bindings: { a: { type: "array<float>", data: { size: 64, usage: 0x80 } } },
        },
      },
      "compile",
      /^scoreMod\.bindings\.a, line 1/,
    ],
    [
      "a binding that is none",
      { scoreMod: { wgsl: "return score;", bindings: { a: null } } },
      "shape",
      /bindings\.a: expected \{ type/,
    ],
    [
      "an option of a binding that is not there",
      {
        scoreMod: {
          wgsl: "return score;",
          bindings: { a: { type: "array<f32>", data: [1], access: "read" } },
        },
      },
      "unsupported",
      /access/,
    ],
    [
      "functions that are no text",
      { scoreMod: { wgsl: "return score;", functions: [] } },
      "shape",
      /functions/,
    ],
    [
      "a buffer of less than one element",
      {
        scoreMod: {
          wgsl: "return score;",
          bindings: { a: { type: "array<vec4f>", data: { size: 8, usage: 0x80 } } },
        },
      },
      "shape",
      /bindings\.a buffer: expected at least one element/,
    ],
    [
      "a buffer that is larger than a binding",
      {
        scoreMod: {
          wgsl: "return score;",
          bindings: { a: { type: "array<f32>", data: { size: 2 ** 50, usage: 0x80 } } },
        },
      },
      "limit",
      /buffer of scoreMod\.bindings\.a: expected at most \d+ bytes/,
    ],
    [
      "a taken name",
      { scoreMod: { wgsl: "return score;", constants: { score: 2 } } },
      "unsupported",
      /"score"/,
    ],
    [
      "a type that is no array",
      { scoreMod: { wgsl: "return score;", bindings: { a: { type: "f32", data: [1] } } } },
      "dtype",
      /bindings\.a\.type/,
    ],
    [
      "no data",
      { scoreMod: { wgsl: "return score;", bindings: { a: { type: "array<f32>", data: [] } } } },
      "shape",
      /bindings\.a\.data/,
    ],
    [
      "more bindings than the device has",
      {
        scoreMod: {
          wgsl: "return score;",
          bindings: Object.fromEntries(
            Array.from({ length: 200 }, (_, n) => [`own${n}`, { type: "array<f32>", data: [n] }]),
          ),
        },
      },
      "limit",
      /storage buffers of softmax\/\w+: expected at most \d+/,
    ],
  ])("%s", async (_, options, code, message) => {
    const ctx = await testContext();
    const submit = vi.spyOn(ctx.device.queue, "submit");
    const planned = planSoftmaxAttention(ctx, { q: layout, k: layout, v: layout, ...options });
    await expect(planned).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect(submit).not.toHaveBeenCalled();
    submit.mockRestore();
  });

  test("a buffer that is not storage", async () => {
    const ctx = await testContext();
    const data = ctx.device.createBuffer({ size: 16, usage: 0x08 });
    buffers.push(data);
    const scoreMod = { wgsl: "return score + a[0];", bindings: { a: { type: "array<f32>", data } } };
    const planned = planSoftmaxAttention(ctx, { q: layout, k: layout, v: layout, scoreMod });
    await expect(planned).rejects.toMatchObject({ code: "unsupported" });
  });
});

test("an output cannot be a buffer that a mod reads", async () => {
  const ctx = await testContext();
  const tensor = ctx.empty([1, 20, 2, 8]);
  const out = ctx.empty([1, 20, 2, 8]);
  const scoreMod = {
    wgsl: "return score + a[0];",
    bindings: { a: { type: "array<f32>", data: out.buffer } },
  };
  const submit = vi.spyOn(ctx.device.queue, "submit");
  const called = softmaxAttention(ctx, tensor, tensor, tensor, { out, scoreMod });
  await expect(called).rejects.toMatchObject({
    code: "unsupported",
    message: expect.stringMatching(/out\.buffer/),
  });
  expect(submit).not.toHaveBeenCalled();
  submit.mockRestore();
  tensor.buffer.destroy();
  out.buffer.destroy();
});
