import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import { KernelCache } from "./kernel-cache.js";
import { compileKernelFile } from "./kernel-plugin.js";
import { closeTint } from "./tint.js";

const KERNEL = `import super::sizes::WIDTH;
@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(WIDTH) fn main() { out[0] = 1.0; }
`;
const SIZES = "const WIDTH: u32 = 8u;\n";

const folders: string[] = [];
const folder = () => {
  const made = mkdtempSync(join(tmpdir(), "kernel-cache-"));
  folders.push(made);
  return made;
};
afterEach(() => {
  for (const made of folders.splice(0)) rmSync(made, { recursive: true });
});
afterAll(closeTint);

function setUp() {
  const [root, kept] = [folder(), folder()];
  const write = (name: string, text: string) => writeFileSync(join(root, name), text);
  write("fill.wgsl", KERNEL);
  write("sizes.wgsl", SIZES);
  const compile = () => compileKernelFile(join(root, "fill.wgsl"), root, new KernelCache(kept));
  return { write, kept, compile, files: () => readdirSync(kept) };
}

test("a kernel is kept until a text that it is made of changes", async () => {
  const { write, compile, files, kept } = setUp();
  const first = await compile();
  const [name] = files();
  // Whoever reads it believes what stands there: it was not compiled again.
  const marked = { ...first, kernel: { ...first.kernel, hash: "kept" } };
  writeFileSync(join(kept, name!), JSON.stringify(marked));
  expect(await compile()).toEqual(marked);

  write("sizes.wgsl", SIZES.replace("8u", "16u"));
  const changed = await compile();
  expect(changed.kernel.hash).not.toBe(first.kernel.hash);
  expect(changed.kernel.hash).not.toBe("kept");
  expect(files()).toHaveLength(1);
  expect(files()).not.toContain(name);
});

test("what cannot be read is made again", async () => {
  const { compile, files, kept } = setUp();
  const first = await compile();
  writeFileSync(join(kept, files()[0]!), "{ cut");
  expect(await compile()).toEqual(first);
});

test("a kernel with an error is not kept", async () => {
  const { write, compile, files } = setUp();
  write("fill.wgsl", KERNEL.replace("1.0", "wrong"));
  await expect(compile()).rejects.toThrow(/wrong/);
  expect(files()).toEqual([]);
});

test("without a folder to write to, kernels are compiled all the same", async () => {
  const { write } = setUp();
  write("file", "");
  const cache = new KernelCache(join(folders[0]!, "file"));
  const { kernel } = await compileKernelFile(join(folders[0]!, "fill.wgsl"), folders[0]!, cache);
  expect(kernel.name).toBe("fill");
});
