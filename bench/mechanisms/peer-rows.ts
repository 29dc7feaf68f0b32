import type { BenchEntry, BenchRow } from "../../kernels/_bench/mechanism-bench.js";
import { planEntry, recorded } from "../../kernels/_bench/plan-entry.js";
import { planLinearAttention } from "../../kernels/linear/index.js";
import { linearAttentionReference } from "../../kernels/linear/reference.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import { difference } from "../../test/support/compare.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { PEER_TOLERANCE } from "../contender.js";
import type { OperatorModel } from "../contenders/onnx-model.js";
import { fillWithNaN, readFloats, uploadFloats } from "../gpu.js";

const DIM = 64;
const TOLERANCE = 1e-5;

/** Rows in which a mechanism meets another library: peers are the benchmark's, so the mechanism does not know of them. */
export async function peerRows(mechanism: string): Promise<BenchRow[]> {
  return mechanism === "linear" ? [linearAgainstOnnx(512, 4)] : [];
}

function linearAgainstOnnx(tokens: number, heads: number): BenchRow {
  const shape: Shape4 = [1, tokens, heads, DIM];
  const random = randomSource(2);
  const [q, k, v] = [0, 1, 2].map(() => normalArray(tokens * heads * DIM, random)) as [
    Float32Array<ArrayBuffer>,
    Float32Array<ArrayBuffer>,
    Float32Array<ArrayBuffer>,
  ];
  const reference = () =>
    linearAttentionReference({ q: { data: q, shape }, k: { data: k, shape }, v: { data: v, shape } }).out;
  const ours: BenchEntry = {
    name: "ours",
    rows: tokens * heads,
    async prepare(ctx) {
      const upload = (data: Float32Array) => ctx.fromArray(data, shape);
      const tensors = { q: upload(q), k: upload(k), v: upload(v), out: ctx.empty(shape) };
      const plan = await planLinearAttention(ctx, tensors);
      const expected = () => {
        const values = reference();
        return [{ view: tensors.out, values, places: Array.from({ length: values.length }, (_, i) => i) }];
      };
      const buffers = Object.values(tensors).map(({ buffer }) => buffer);
      return planEntry(ctx, [recorded(plan, tensors)], [tensors.out], expected, TOLERANCE, buffers);
    },
  };
  const peer = (features: readonly GPUFeatureName[]): BenchEntry => ({
    name: `onnxruntime-web${features.includes("subgroups") ? ", subgroups" : ""}`,
    rows: tokens * heads,
    async prepare() {
      const { bindBuffers, onnxDevice, Sessions } = await import("../contenders/onnx-sessions.js");
      const device = await onnxDevice(features);
      const model = linearModel(tokens, heads);
      const session = await new Sessions(device).create(model);
      const state = new Float32Array(heads * DIM * DIM);
      const data = { q, k, v, out: new Float32Array(q.length), present: state };
      const buffers = Object.fromEntries(
        Object.entries(data).map(([name, numbers]) => [name, uploadFloats(device, numbers)]),
      );
      const [feeds, fetches] = [bindBuffers(model.inputs, buffers), bindBuffers(model.outputs, buffers)];
      const run = async () => {
        await session.run(feeds, fetches);
        await device.queue.onSubmittedWorkDone();
      };
      return {
        flops: 0,
        scratchBytes: 0,
        run,
        async check() {
          fillWithNaN(device, buffers.out!);
          await run();
          const { maxRelative } = difference(await readFloats(device, buffers.out!), reference());
          return { error: maxRelative, tolerance: PEER_TOLERANCE };
        },
        // The release of its last session would destroy the device of the others: the page's end does both.
        destroy() {
          for (const buffer of Object.values(buffers)) buffer.destroy();
        },
      };
    },
  });
  return {
    name: `against LinearAttention, ${tokens} tokens, ${heads} heads`,
    compare: "speedup",
    entries: [peer([]), peer(["subgroups"]), ours],
  };
}

/** onnxruntime's operator without decay: [B, T, H * D] in and out, the state [B, H, D, Dv] beside. */
function linearModel(tokens: number, heads: number): OperatorModel {
  const rows = [1, tokens, heads * DIM];
  return {
    operator: "LinearAttention",
    domain: "com.microsoft",
    operatorInputs: ["q", "k", "v"],
    attributes: { q_num_heads: heads, kv_num_heads: heads, update_rule: "linear", scale: 1 },
    floats: ["scale"],
    inputs: { q: rows, k: rows, v: rows },
    outputs: { out: rows, present: [1, heads, DIM, DIM] },
    constants: {},
  };
}
