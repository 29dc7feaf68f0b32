import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AttentionContext } from "webgpu-attention";
import { difference } from "../../../test/support/compare.js";
import { testContext } from "../../../test/support/gpu.js";
import { readSafetensors } from "../../../test/support/safetensors.js";
import { type Checkpoint, loadCheckpoint } from "../load-checkpoint.js";
import { LanguageForward } from "./language-forward.js";
import { SequenceState } from "./sequence-state.js";
import { Workspace } from "./workspace.js";

const MODELS = new URL("../../../demo/public/models/", import.meta.url);
const FIXTURES = new URL("../../../test/fixtures/", import.meta.url);
const names = ["lm-softmax", "lm-moh-50", "lm-lightning", "lm-flow"].filter((name) =>
  existsSync(new URL(`${name}/`, MODELS)),
);

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

describe.each(names)("%s", (name) => {
  let checkpoint: Checkpoint;
  let work: Workspace;
  const { tensors } = readSafetensors(readFileSync(new URL(`${name}.safetensors`, FIXTURES)));
  const ids = Uint32Array.from(tensors.get("ids")!.data as Int32Array);
  const expected = tensors.get("logits")!.data as Float32Array;
  beforeAll(async () => {
    checkpoint = await loadCheckpoint(ctx, new URL(`${name}/`, MODELS), { dtype: "f32" });
    work = new Workspace(ctx);
  });
  afterAll(() => {
    checkpoint.weights.destroy();
    work.destroy();
  });

  /** Logits of the last rows after passes over these numbers of tokens. */
  async function logitsAfter(chunks: readonly number[], state?: SequenceState): Promise<Float32Array> {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const all: Float32Array[] = [];
    let done = 0;
    for (const tokens of chunks) {
      const idBuffer = ctx.device.createBuffer({ size: 4 * tokens, usage });
      const lengths = ctx.device.createBuffer({ size: 4, usage });
      ctx.device.queue.writeBuffer(idBuffer, 0, ids, done, tokens);
      done += tokens;
      ctx.device.queue.writeBuffer(lengths, 0, Uint32Array.of(done));
      const buffers = work.use();
      const forward = await LanguageForward.plan(
        {
          ...{
            ctx,
            ...checkpoint,
            work: buffers,
            batches: 1,
            tokens,
            hooks: [],
            context: ids.length,
            capacity: ids.length,
          },
          ...{ ids: idBuffer, logitsOf: "all", phase: "prefill", ...(state && { lengths, totals: lengths }) },
        },
        state,
      );
      await ctx.submitChecked((encoder) => forward.record(encoder, state));
      if (state) state.turn = state.turn === 0 ? 1 : 0;
      all.push(await ctx.read(forward.logits!));
      forward.destroy();
      buffers.release();
      for (const buffer of [idBuffer, lengths]) buffer.destroy();
    }
    const numbers = all.flatMap((part) => [...part]);
    return Float32Array.from(numbers.slice(-expected.length));
  }

  test("gives PyTorch's logits, at once", async () => {
    expect(difference(await logitsAfter([ids.length]), expected).maxRelative).toBeLessThan(1e-4);
  });

  test("and in pieces, token by token in the end", async () => {
    const options = { batches: 1, capacity: 96, dtype: "f32" } as const;
    const state = await SequenceState.create(ctx, checkpoint.config, options);
    const actual = await logitsAfter([43, 33, 1, 1, 1, 1], state);
    expect(difference(actual, expected).maxRelative).toBeLessThan(1e-4);
    state.destroy();
  });
});
