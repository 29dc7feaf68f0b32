import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build } from "vite";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { specialise, variantKey } from "../dispatch/specialise.js";
import { KernelBuildError } from "./kernel-build-error.js";
import { compileKernelFile, kernelPlugin } from "./kernel-plugin.js";
import { closeTint } from "./tint.js";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});
afterAll(closeTint);

/** Writes files into a fresh kernel root and compiles the first one. */
function kernels(files: Record<string, string>): {
  root: string;
  compile: () => ReturnType<typeof compileKernelFile>;
} {
  const root = mkdtempSync(join(tmpdir(), "kernels-"));
  folders.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return { root, compile: () => compileKernelFile(join(root, Object.keys(files)[0]!), root) };
}

async function failure(files: Record<string, string>): Promise<{ error: KernelBuildError; place: string }> {
  const { root, compile } = kernels(files);
  const error = await compile().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(KernelBuildError);
  const { file, line } = error as KernelBuildError;
  return { error: error as KernelBuildError, place: `${file.slice(root.length + 1)}:${line}` };
}

const KERNEL = `import package::_shared::math::twice;
import super::problem::params;

const WIDTH: u32 = 8u;
const CAUSAL: bool = false;
const HALF = WIDTH / 2u;

@if(vec4) @group(0) @binding(1) var<storage, read> q: array<vec4f>;
@if(!vec4) @group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

fn score_mod(score: f32, j: u32) -> f32 {
  return score;
}

@compute @workgroup_size(HALF)
fn main(@builtin(global_invocation_id) id: vec3u) {
  @if(vec4) { out[id.x] = score_mod(twice(q[0].x), id.x) * params.scale; }
  @if(!vec4) { out[id.x] = score_mod(twice(q[0]), id.x) * params.scale; }
  @if(f16) { out[id.x] = f32(f16(out[id.x])); }
  @if(subgroups) { out[id.x] = subgroupAdd(out[id.x]); }
  if (CAUSAL) { out[id.x] = f32(params.tokens); }
}
`;
const SHARED = {
  "_shared/math.wgsl": "// doubles\nfn twice(x: f32) -> f32 { return 2.0 * x; }\nfn unused() {}\n",
};
const PROBLEM = {
  "demo/problem.wgsl":
    "struct Params { tokens: u32, strides: vec4u, scale: f32 }\n@group(0) @binding(0) var<uniform> params: Params;\n",
};
const BINDINGS = {
  "demo/bindings.ts": 'export const BINDINGS = { sum: ["params", "q", "out"] } as const;\n',
};
const GOOD = { "demo/sum.wgsl": KERNEL, ...SHARED, ...PROBLEM, ...BINDINGS };

describe("a kernel module", () => {
  test("has a variant for each set of conditions, linked and without dead code", async () => {
    const { kernel, dependencies } = await kernels(GOOD).compile();
    expect(kernel.name).toBe("demo/sum");
    expect(kernel.conditions).toEqual(["f16", "subgroups", "vec4"]);
    expect(Object.keys(kernel.variants).sort()).toEqual(
      [
        "base",
        "f16",
        "f16+subgroups",
        "f16+subgroups+vec4",
        "f16+vec4",
        "subgroups",
        "subgroups+vec4",
        "vec4",
      ].sort(),
    );
    expect(kernel.variants.base!.enables).toEqual([]);
    expect(kernel.variants["f16+subgroups"]!.enables).toEqual(["f16", "subgroups"]);
    expect(kernel.variants.base!.code).toContain("fn twice");
    expect(kernel.variants.base!.code).not.toContain("unused");
    expect(dependencies).toEqual(["./demo/sum.wgsl", "./_shared/math.wgsl", "./demo/problem.wgsl"]);
    expect(variantKey(kernel, ["vec4", "f16", "dot4"])).toBe("f16+vec4");
  });

  test("has reflected bindings and uniform layouts", async () => {
    const { base } = (await kernels(GOOD).compile()).kernel.variants;
    expect(base!.entryPoint).toBe("main");
    expect(base!.bindings).toEqual([
      { name: "params", group: 0, binding: 0, type: "uniform" },
      { name: "q", group: 0, binding: 1, type: "read-only-storage" },
      { name: "out", group: 0, binding: 2, type: "storage" },
    ]);
    expect(base!.uniforms.params).toEqual({
      size: 48,
      fields: {
        tokens: { offset: 0, type: "u32" },
        strides: { offset: 16, type: "u32", length: 4 },
        scale: { offset: 32, type: "f32" },
      },
    });
  });

  test("has its constants lifted and its slots open", async () => {
    const { base } = (await kernels(GOOD).compile()).kernel.variants;
    expect(base!.constants).toEqual({
      WIDTH: { type: "u32", default: 8 },
      CAUSAL: { type: "bool", default: false },
    });
    expect(base!.code).not.toContain("const WIDTH");
    const text = specialise(base!, {
      constants: { WIDTH: 64, CAUSAL: true },
      slots: { score_mod: ["return score + f32(j);", "return 2.0 * score;"] },
    });
    expect(text).toContain("const WIDTH: u32 = 64u;\n");
    expect(text).toContain("const CAUSAL: bool = true;\n");
    expect(text).toContain("fn score_mod_1(score: f32, j: u32) -> f32 {\nreturn score + f32(j);\n}");
    expect(text).toContain(
      "fn score_mod(score: f32, j: u32) -> f32 {\nreturn score_mod_2(score_mod_1(score, j), j);\n}",
    );
    expect(text.match(/fn score_mod\(/g)).toHaveLength(1);
    expect(specialise(base!)).toContain("return score;");
    expect(() => specialise(base!, { constants: { WIDHT: 1 } })).toThrow(/no constant WIDHT/);
    expect(() => specialise(base!, { slots: { mask_mod: [] } })).toThrow(/no slot mask_mod/);
  });

  test("changes its hash with its text", async () => {
    const first = (await kernels(GOOD).compile()).kernel.hash;
    const same = (await kernels(GOOD).compile()).kernel.hash;
    const other = (
      await kernels({ ...GOOD, "_shared/math.wgsl": "fn twice(x: f32) -> f32 { return x + x; }" }).compile()
    ).kernel.hash;
    expect(same).toBe(first);
    expect(other).not.toBe(first);
  });
});

describe("the build fails with file and line", () => {
  test("on a syntax error in an import", async () => {
    const { place } = await failure({
      ...GOOD,
      "_shared/math.wgsl": "// doubles\nfn twice(x: f32 { return x; }\n",
    });
    expect(place).toBe("_shared/math.wgsl:2");
  });

  test("on a type error in an import", async () => {
    const { place, error } = await failure({
      ...GOOD,
      "_shared/math.wgsl": "// doubles\n\nfn twice(x: f32) -> f32 {\n  return 2u * x;\n}\n",
    });
    expect(place).toBe("_shared/math.wgsl:4");
    expect(error.message).toMatch(/no matching overload/);
  });

  test("on a type error that only one variant has", async () => {
    const { place, error } = await failure({
      ...GOOD,
      "demo/sum.wgsl": KERNEL.replace("subgroupAdd(out[id.x])", "subgroupAdd(true)"),
    });
    expect(place).toBe("demo/sum.wgsl:21");
    expect(error.message).toContain("[variant subgroups]");
  });

  test("on a variant that only putting its declarations in order breaks", async () => {
    // Directives come before all declarations, and the base variant has none that could hold the place.
    const { place, error } = await failure({
      ...GOOD,
      "demo/sum.wgsl": KERNEL.replace(
        "const WIDTH",
        "@if(vec4) diagnostic(off, derivative_uniformity);\nconst WIDTH",
      ),
    });
    expect(place).toBe("demo/sum.wgsl:1");
    expect(error.message).toContain("[aligned text of variant");
  });

  test("on an import that does not exist", async () => {
    const { place } = await failure({
      ...GOOD,
      "demo/sum.wgsl": KERNEL.replace("math::twice", "math::thrice").replaceAll("twice(", "thrice("),
    });
    expect(place).toMatch(/^demo\/sum\.wgsl:\d+$/);
  });

  test("on colliding overrides, which the linker would rename", async () => {
    const { place, error } = await failure({
      ...GOOD,
      "demo/sum.wgsl": KERNEL.replace("const HALF", "override TILE: u32 = 4u;\nconst HALF").replace(
        "params.tokens)",
        "params.tokens + TILE)",
      ),
      "_shared/math.wgsl": "override TILE: u32 = 8u;\nfn twice(x: f32) -> f32 { return f32(TILE) * x; }\n",
    });
    expect(error.message).toMatch(/collides.*TILE0/);
    expect(place).toBe("_shared/math.wgsl:1");
  });

  test("on a binding that TypeScript does not know", async () => {
    const { place, error } = await failure({
      ...GOOD,
      "demo/sum.wgsl": `${KERNEL.replace("f32(params.tokens)", "extra[0]")}@group(0) @binding(3) var<storage, read> extra: array<f32>;\n`,
    });
    expect(place).toBe("demo/sum.wgsl:24");
    expect(error.message).toMatch(/"extra" is not among.*params, q, out/);
  });

  test("on a binding that only TypeScript knows, and on a kernel that it does not list", async () => {
    const extra = await failure({
      ...GOOD,
      "demo/bindings.ts": 'export const BINDINGS = { sum: ["params", "q", "out", "lse"] };',
    });
    expect(extra.error.message).toMatch(/declares "lse"/);
    const missing = await failure({ ...GOOD, "demo/bindings.ts": "export const BINDINGS = {};" });
    expect(missing.place).toBe("demo/bindings.ts:1");
  });

  test("on two entry points or a uniform field that cannot be packed", async () => {
    const two = kernels({ ...GOOD, "demo/sum.wgsl": `${KERNEL}@compute @workgroup_size(1) fn other() {}\n` });
    await expect(two.compile()).rejects.toThrow(/exactly one @compute/);
    const matrix = kernels({
      ...GOOD,
      "demo/problem.wgsl": PROBLEM["demo/problem.wgsl"].replace("strides: vec4u", "strides: mat4x4f"),
    });
    await expect(matrix.compile()).rejects.toThrow(/params\.strides/);
  });
});

describe("as a Vite plugin", () => {
  const run = (root: string) =>
    build({
      root,
      logLevel: "silent",
      plugins: [kernelPlugin({ root })],
      build: { write: false, lib: { entry: join(root, "main.ts"), formats: ["es"] } },
    });

  test("turns an import into a kernel module", async () => {
    const { root } = kernels({
      ...GOOD,
      "main.ts": 'import kernel from "./demo/sum.wgsl";\nexport const name = kernel.name;',
    });
    const [result] = (await run(root)) as unknown as { output: { code: string }[] }[];
    expect(result!.output[0]!.code).toContain("demo/sum");
  });

  test("fails the build with the place in the source", async () => {
    const { root } = kernels({
      ...GOOD,
      "_shared/math.wgsl": "fn twice(x: f32) -> f32 { return 2u * x; }",
      "main.ts": 'export { default } from "./demo/sum.wgsl";',
    });
    await expect(run(root)).rejects.toThrow(/math\.wgsl:1: /);
  });
});
