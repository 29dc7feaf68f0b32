import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { isKernel } from "../../src/build/compile-kernel.js";
import { closeTint } from "../../src/build/tint.js";
import { kernelTexts, wgslFiles } from "./kernel-texts.js";
import { naga } from "./naga.js";
import { tint } from "./tint.js";
import { uninitialisedVars } from "./uninitialised-vars.js";

const fixture = (name: string) => readFileSync(new URL(`./fixtures/${name}.wgsl`, import.meta.url), "utf8");
const textOf = (name: string) => ({ name, enables: [], code: fixture(name) });

afterAll(closeTint);

describe("lint", () => {
  it("finds every function variable without a value, with its line", () => {
    expect(uninitialisedVars(fixture("uninitialised-var"))).toEqual([
      { name: "scalar", line: 16 },
      { name: "list", line: 17 },
      { name: "spaced", line: 18 },
      { name: "j", line: 22 },
    ]);
  });

  it("finds none in the kernels", () => {
    for (const { text } of wgslFiles()) expect(uninitialisedVars(text)).toEqual([]);
  });
});

describe("compilers", () => {
  it("Tint refuses a type error, names its line and passes what is right", async () => {
    const [bad, good] = await tint([textOf("type-error"), textOf("uninitialised-var")]);
    expect(bad).toMatchObject({ status: "failed", message: expect.stringContaining("line 5") });
    expect(good).toEqual({ status: "passed" });
  });

  it("Tint knows the features that variants enable", async () => {
    const code =
      "enable f16;\nenable subgroups;\n@compute @workgroup_size(4) fn main() { _ = subgroupAdd(f32(1.0h)); }";
    expect(await tint([{ name: "features", enables: ["f16", "subgroups"], code }])).toEqual([
      { status: "passed" },
    ]);
  });

  it("Naga refuses a type error and passes what is right, or says what is missing", async () => {
    const [bad, good] = await naga([textOf("type-error"), textOf("uninitialised-var")]);
    if (bad!.status === "skipped") {
      expect(bad!.message).toContain("install");
      return;
    }
    expect(bad).toMatchObject({ status: "failed", message: expect.stringContaining(":5:") });
    expect(good).toEqual({ status: "passed" });
  });
});

it("gives the final text of every variant of every kernel", async () => {
  const kernels = wgslFiles().filter(({ text }) => isKernel(text));
  expect(kernels.map(({ name }) => name)).toContain("kernels/softmax/tiled.wgsl");
  const texts = (await Promise.all(kernels.map(kernelTexts))).flat();
  expect(texts.length).toBeGreaterThan(kernels.length);
  for (const { code } of texts) expect(code).toContain("@compute");
});
