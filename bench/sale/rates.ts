import { unrollLoops } from "../../src/dispatch/unroll.js";
import type { AttentionContext } from "../../src/index.js";
import text from "./dot_rate.wgsl?raw";
import { processorTime } from "./processor-time.js";

const TOKENS = 2048;
const CHANNELS = 32;
const ROWS = 8;
const THREADS = 8;

const KINDS = {
  f32: {
    declarations:
      "alias Word = vec4f; alias Sum = f32; fn products(a: Word, b: Word) -> Sum { return dot(a, b); }",
    bytes: 4,
  },
  int8: {
    declarations:
      "alias Word = u32; alias Sum = i32; fn products(a: Word, b: Word) -> Sum { return dot4I8Packed(a, b); }",
    bytes: 1,
  },
} as const;

/** A yardstick: products of 2,048 rows and as many keys in f32 or 8 bits. `run` gives its `processorTime`. */
export async function dotRate(ctx: AttentionContext, kind: keyof typeof KINDS) {
  const { device } = ctx;
  const { declarations, bytes } = KINDS[kind];
  const code = `${declarations}\n${unrollLoops(text.replace(/\/\/[^\n]*/g, ""), { ROWS, KEYS: 8, WORDS: CHANNELS / 4 })}`;
  const pipeline = await device.createComputePipelineAsync({
    layout: "auto",
    compute: { module: device.createShaderModule({ code }), entryPoint: "main" },
  });
  const size = TOKENS * CHANNELS * bytes;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
  const buffers = [size, size, TOKENS * 4].map((length) => device.createBuffer({ size: length, usage }));
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  return {
    multiplyAdds: TOKENS * TOKENS * CHANNELS,
    async run(): Promise<number> {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(TOKENS / ROWS / THREADS);
      pass.end();
      return await processorTime(async () => {
        device.queue.submit([encoder.finish()]);
        await device.queue.onSubmittedWorkDone();
      });
    },
  };
}
