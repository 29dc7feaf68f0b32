import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { emitWhole } from "./emit-kernel.js";
import { compileKernelFile } from "./kernel-plugin.js";
import { closeTint } from "./tint.js";

afterAll(closeTint);

test("what is emitted is the module, in much less text", async () => {
  const { kernel } = await compileKernelFile(join(import.meta.dirname, "../../kernels/softmax/rows.wgsl"));
  const code = emitWhole(kernel);
  const loaded = (await import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(code)}`)) as {
    default: unknown;
  };
  expect(loaded.default).toEqual(kernel);
  expect(code.length).toBeLessThan(JSON.stringify(kernel).length / 5);
});
