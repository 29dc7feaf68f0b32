import { defineConfig } from "vite";
import { kernelPlugin } from "./src/build/kernel-plugin.js";

const entries = {
  index: "src/index.ts",
  softmax: "kernels/softmax/index.ts",
  linear: "kernels/linear/index.ts",
  agent: "kernels/agent/index.ts",
  flow: "kernels/flow/index.ts",
  sale: "kernels/sale/index.ts",
  moh: "kernels/moh/index.ts",
  calibration: "kernels/_calibration/index.ts",
  layers: "kernels/_layers/index.ts",
  hooks: "src/hooks/index.ts",
  transformer: "src/transformer/index.ts",
};

/** Builds the package into `dist`. The pages have their own configuration in `demo/vite.config.ts`. */
export default defineConfig({
  plugins: [kernelPlugin()],
  resolve: { tsconfigPaths: true },
  publicDir: false,
  build: {
    target: "es2022",
    minify: false,
    sourcemap: true,
    lib: { entry: entries, formats: ["es"] },
    rolldownOptions: {
      external: [/^node:/, /^@huggingface\//],
      output: { entryFileNames: "[name].js", chunkFileNames: "chunks/[name]-[hash].js" },
    },
  },
});
