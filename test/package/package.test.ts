/** The tarball as a user gets it. `npm run test:package` builds first. */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { findVulkanCpuDriver } from "../support/vulkan-driver.js";
import { bundle, gzipSize } from "./bundle-size.js";
import { type InstalledPackage, installPackage, PROJECT, run } from "./installed-package.js";

/**
 * Bytes that one mechanism may add to the context, which all share. Softmax attention has seven kernels in up to 48 variants, those for q8
 * caches among them, which took it from 29.9 to 30.4 kB; what measuring needs (the reference, cases), and what mods need, is loaded on demand and
 * not counted; named mods and `createBlockMask` are counted, which a bundler leaves out where nobody uses them.
 */
const MECHANISM_GZIP_LIMIT = 31_000;

/** A message of the float64 reference's, which minifying leaves as it is. */
const ONLY_IN_REFERENCE = "query heads do not divide into";

const require = createRequire(import.meta.url);

let installed: InstalledPackage;
beforeAll(async () => {
  installed = await installPackage();
}, 120_000);
afterAll(() => installed?.remove());

describe("the tarball", () => {
  it("holds the built package and nothing else", () => {
    const others = installed.files.filter((path) => !path.startsWith("dist/")).sort();
    const docs = readdirSync(join(PROJECT, "docs")).filter((name) => name.endsWith(".md"));
    const allowed = [
      ...["CHANGELOG.md", "LICENSE", "README.md", "THIRD-PARTY-LICENSES.txt", "package.json"],
      ...docs.map((name) => `docs/${name}`),
    ];
    expect(allowed).toEqual(expect.arrayContaining(others));
    expect(installed.files.filter((path) => /test|golden|playground|\.wgsl$/.test(path))).toEqual([]);
  });

  it("names no path of the machine that built it", () => {
    for (const path of installed.files) {
      const text = readFileSync(join(installed.folder, "node_modules/webgpu-attention", path), "utf8");
      expect(text.includes(PROJECT), path).toBe(false);
    }
  });
});

describe("imports", () => {
  it("touch no browser global in Node, whatever is imported", async () => {
    const { stdout, stderr } = await run(
      "node",
      ["import-everything.mjs", ...installed.entryPoints],
      installed.folder,
    );
    expect(stderr).toBe("");
    const { touched, exported } = JSON.parse(stdout) as {
      touched: string[];
      exported: Record<string, string[]>;
    };
    expect(touched).toEqual([]);
    expect(exported["webgpu-attention"]).toEqual(
      expect.arrayContaining(["AttentionContext", "AttentionError"]),
    );
    expect(exported["webgpu-attention/softmax"]).toContain("softmaxAttention");
    expect(exported["webgpu-attention/linear"]).toContain("linearAttentionBackward");
    expect(exported["webgpu-attention/flow"]).toContain("flowAttention");
    expect(exported["webgpu-attention/agent"]).toContain("agentAttention");
    expect(exported["webgpu-attention/sale"]).toContain("saleAttention");
    expect(exported["webgpu-attention/hooks"]).toEqual(
      expect.arrayContaining(["headSearch", "planIntervenedAttention", "planHookedAttention"]),
    );
    expect(exported["webgpu-attention/calibration"]).toEqual(
      expect.arrayContaining(["planAttentionMix", "planAttentionShift", "planAttentionStatistics"]),
    );
    expect(exported["webgpu-attention/moh"]).toContain("mixtureOfHeadAttention");
    for (const names of Object.values(exported)) expect(names).not.toEqual([]);
  });

  it.each(["bundler", "nodenext"])(
    "have types under strict TypeScript, moduleResolution %s",
    async (moduleResolution) => {
      const options = [
        ...[
          "--noEmit",
          "--strict",
          "--noUncheckedIndexedAccess",
          "--exactOptionalPropertyTypes",
          "--verbatimModuleSyntax",
        ],
        ...["--target", "es2022", "--lib", "es2022,dom", "--types", ""],
        ...[
          "--module",
          moduleResolution === "bundler" ? "esnext" : "nodenext",
          "--moduleResolution",
          moduleResolution,
        ],
      ];
      const tsc = join(PROJECT, "node_modules/typescript/bin/tsc");
      const { stdout, code } = await run("node", [tsc, ...options, "app.ts"], installed.folder);
      expect(stdout).toBe("");
      expect(code).toBe(0);
    },
  );
});

describe("a Vite application", () => {
  it("builds", async () => {
    const result = await build({
      configFile: false,
      root: installed.folder,
      logLevel: "error",
      build: { write: false },
    });
    const [bundle] = [result].flat();
    expect(JSON.stringify(bundle)).toContain("@workgroup_size");
  });

  it.each(["softmax", "linear", "flow", "agent"])("downloads few bytes for %s attention", async (name) => {
    const core = gzipSize((await bundle(installed.folder, ["webgpu-attention"])).atOnce);
    const entryPoints = ["webgpu-attention", `webgpu-attention/${name}`];
    const both = gzipSize((await bundle(installed.folder, entryPoints)).atOnce);
    console.log(`minified and gzipped: context ${core} bytes, with ${name} attention ${both} bytes`);
    expect(both - core).toBeLessThanOrEqual(MECHANISM_GZIP_LIMIT);
  });

  it("loads the reference on demand only", async () => {
    const { atOnce, onDemand } = await bundle(installed.folder, ["webgpu-attention/softmax"]);
    expect(onDemand).toContain(ONLY_IN_REFERENCE);
    expect(atOnce).not.toContain(ONLY_IN_REFERENCE);
  });
});

describe("end to end", () => {
  const attends = async (
    context: TestContext,
    command: string,
    args: readonly string[],
    driver: string | undefined,
  ) => {
    const { stdout, stderr, code } = await run(command, args, installed.folder, {
      ...(driver && { VK_ICD_FILENAMES: driver }),
      DENO_NO_UPDATE_CHECK: "1",
    });
    expect(code, stderr).toBe(0);
    const { adapter, maxError } = JSON.parse(stdout) as { adapter: string | null; maxError: number };
    if (adapter === null)
      context.skip("imports work, but there is no WebGPU adapter: install a Vulkan driver");
    expect(maxError).toBeLessThan(1e-5);
  };

  it("attends in Node with npm webgpu", async (context) => {
    const dawn = pathToFileURL(require.resolve("webgpu")).href;
    await attends(context, "node", ["attend.mjs", dawn], findVulkanCpuDriver("swiftshader"));
  });

  it("attends in Deno", async (context) => {
    const deno = join(PROJECT, "node_modules/deno/bin.cjs");
    const flags = [
      "--quiet",
      "--no-lock",
      "--no-remote",
      "--node-modules-dir=manual",
      "--unstable-webgpu",
      "--allow-read",
    ];
    const args = [deno, "run", ...flags, "attend.mjs"];
    await attends(context, "node", args, findVulkanCpuDriver("lavapipe"));
  });
});
