// [node|deno] attend.mjs [URL of npm webgpu]: causal attention through the installed package against a plain loop.
// Prints { adapter, maxError } as JSON; adapter is null where there is none.
import { AttentionContext } from "webgpu-attention";
import { softmaxAttention } from "webgpu-attention/softmax";

const [tokens, dim] = [6, 4];

async function findGpu() {
  const [dawn] = process.argv.slice(2);
  if (!dawn) return navigator.gpu;
  const { create, globals } = await import(dawn);
  Object.assign(globalThis, globals);
  // Dawn crashes when its instance is collected before its devices.
  globalThis.keptGpu = create([]);
  return globalThis.keptGpu;
}

function expectedOutput(q, k, v) {
  const out = [];
  for (let i = 0; i < tokens; i++) {
    const weights = [];
    for (let j = 0; j <= i; j++) {
      let score = 0;
      for (let d = 0; d < dim; d++) score += q[i * dim + d] * k[j * dim + d];
      weights.push(Math.exp(score / Math.sqrt(dim)));
    }
    const sum = weights.reduce((a, b) => a + b);
    for (let d = 0; d < dim; d++) {
      out.push(weights.reduce((total, weight, j) => total + (weight / sum) * v[j * dim + d], 0));
    }
  }
  return out;
}

const gpu = await findGpu();
const adapter = await gpu?.requestAdapter();
if (!adapter) {
  console.log(JSON.stringify({ adapter: null }));
} else {
  const device = await adapter.requestDevice(AttentionContext.requirements(adapter));
  const context = await AttentionContext.create(device);
  const inputs = [1, 2, 3].map((seed) =>
    Float32Array.from({ length: tokens * dim }, (_, i) => Math.sin(seed * (i + 1))),
  );
  const [q, k, v] = inputs.map((data) => context.fromArray(data, [1, tokens, 1, dim]));
  const { out } = await softmaxAttention(context, q, k, v, { causal: true });
  const actual = await context.read(out);
  const maxError = Math.max(...expectedOutput(...inputs).map((value, i) => Math.abs(value - actual[i])));
  const { vendor, architecture, description } = adapter.info;
  console.log(JSON.stringify({ adapter: description || `${vendor} ${architecture}`, maxError }));
  context.destroy();
  device.destroy();
}
