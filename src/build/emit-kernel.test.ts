import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { KernelModule, KernelVariant } from "../dispatch/kernel-module.js";
import { isKernel, readKernelSources } from "./compile-kernel.js";
import { emitWhole } from "./emit-kernel.js";
import { compileKernelFile } from "./kernel-plugin.js";
import { closeTint } from "./tint.js";

const KERNELS = join(import.meta.dirname, "../../kernels");
const kernelFiles = Object.entries(readKernelSources(KERNELS).files)
  .filter(([, text]) => isKernel(text))
  .map(([path]) => path);

afterAll(closeTint);

async function loaded(code: string): Promise<unknown> {
  const module = (await import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(code)}`)) as {
    default: unknown;
  };
  return module.default;
}

test.each(kernelFiles)("what is emitted for %s is the module", async (path) => {
  const { kernel } = await compileKernelFile(join(KERNELS, path));
  expect(await loaded(emitWhole(kernel))).toEqual(kernel);
});

test("many variants take much less text than they have", async () => {
  const { kernel } = await compileKernelFile(join(KERNELS, "softmax/rows.wgsl"));
  expect(Object.keys(kernel.variants).length).toBeGreaterThan(16);
  expect(emitWhole(kernel).length).toBeLessThan(JSON.stringify(kernel).length / 5);
});

test("a declaration of one variant that stands inside another's function belongs to the one", async () => {
  const variant = (code: string): KernelVariant => ({
    code,
    enables: [],
    entryPoint: "main",
    bindings: [],
    uniforms: {},
    constants: {},
    slots: {},
  });
  const kernel: KernelModule = {
    name: "demo/local",
    conditions: ["wide"],
    hash: "0",
    variants: {
      base: variant("fn width() -> u32 {\nconst WIDTH = 4u;\nreturn WIDTH;\n}\n"),
      wide: variant("const WIDTH = 4u;\nfn width() -> u32 {\nreturn WIDTH;\n}\n"),
    },
  };
  expect(await loaded(emitWhole(kernel))).toEqual(kernel);
});
