import { existsSync } from "node:fs";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig, type TestProjectConfiguration } from "vitest/config";
import { kernelPlugin } from "./src/build/kernel-plugin.js";
import { findVulkanCpuDriver } from "./test/support/vulkan-driver.js";
import { findBrowser } from "./tools/browser/find-browser.js";
import { adapterKinds, launchFlags } from "./tools/browser/launch-flags.js";

const GPU_TESTS = ["{src,kernels,test}/**/*.gpu.test.ts"];
/**
 * Random problems, and long tables of cases, that Chromium would only repeat: Dawn in Node compiles the same WGSL for the same driver. Some of each
 * mechanism's own cases (`someInBrowser`), and what an application calls (`src/hooks`, one-shots, plans, errors, contexts), run in both.
 */
const NODE_ONLY_GPU_TESTS = [
  "kernels/_calibration/**/*.gpu.test.ts",
  "kernels/_layers/{decode-layer,linear,matmul,qkv,sampling}.gpu.test.ts",
  "kernels/*/{backward,calibrate,minimum-limits,parts,query-rows,record,select-blocks,state,ties}.gpu.test.ts",
  "kernels/linear/prefix/*.gpu.test.ts",
  "kernels/softmax/{block-mask,mods,tuning}.gpu.test.ts",
  "src/hooks/intervention/{mix,shift}.gpu.test.ts",
  "test/fuzz/**/*.gpu.test.ts",
  // In a browser, the search page runs it.
  "src/transformer/sentence-encoder.gpu.test.ts",
  // Read files.
  "src/transformer/{gguf-models,image-model,language-model,load-checkpoint,native-models,text-encoder}.gpu.test.ts",
  "src/transformer/{generation,model}/*.gpu.test.ts",
  "test/effects/**/*.gpu.test.ts",
  "test/golden/**/*.gpu.test.ts",
];
const PAGE_TESTS = ["test/pages/**/*.test.ts"];
const DENO_TESTS = ["test/platform-deno/**/*.test.ts"];
const PACKAGE_TESTS = ["test/package/**/*.test.ts"];

const shared = { extends: true as const };

/** No GPU, no browser: plans, references, readers, tools. Seconds. */
const unit: TestProjectConfiguration = {
  ...shared,
  test: {
    name: "unit",
    environment: "node",
    include: ["{src,kernels,test,tools,demo,bench}/**/*.test.ts"],
    exclude: [...GPU_TESTS, ...PAGE_TESTS, ...PACKAGE_TESTS, ...DENO_TESTS],
    testTimeout: 30_000,
  },
};

/** GPU tests twice: Dawn in Node (the quick loop) and Chromium, which is started once for all files. */
const nodeGpu: TestProjectConfiguration = {
  ...shared,
  test: {
    name: "node-gpu",
    environment: "node",
    include: GPU_TESTS,
    pool: "forks",
    fileParallelism: false,
    // A first pass of a model compiles some twenty pipelines, on cores that Chromium's tests use as well.
    testTimeout: 300_000,
  },
};

const chromium: TestProjectConfiguration = {
  ...shared,
  test: {
    name: "chromium",
    include: GPU_TESTS,
    exclude: NODE_ONLY_GPU_TESTS,
    testTimeout: 120_000,
    fileParallelism: false,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({
        launchOptions: { executablePath: findBrowser(), args: launchFlags(adapterKinds()[0]!) },
      }),
      instances: [{ browser: "chromium" }],
    },
  },
};

/** The third platform: Naga in Deno, over llvmpipe where there is no GPU. */
const deno: TestProjectConfiguration = {
  ...shared,
  test: { name: "deno", environment: "node", include: DENO_TESTS },
};

/** The demo pages, used as a person would use them. */
const pages: TestProjectConfiguration = {
  ...shared,
  test: {
    name: "pages",
    environment: "node",
    include: PAGE_TESTS,
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
};

/** What a user gets: the packed tarball in a scratch project. Needs a build; `npm run test:package` makes it. */
const packed: TestProjectConfiguration = {
  ...shared,
  test: {
    name: "package",
    environment: "node",
    include: PACKAGE_TESTS,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
};

const hasNodeGpu = existsSync("/dev/dri") || findVulkanCpuDriver() !== undefined;

export default defineConfig({
  plugins: [kernelPlugin()],
  resolve: { tsconfigPaths: true },
  test: { projects: [unit, ...(hasNodeGpu ? [nodeGpu] : []), chromium, deno, pages, packed] },
});
