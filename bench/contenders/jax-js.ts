import { blockUntilReady, defaultDevice, init, jit, nn, numpy } from "@jax-js/jax";
import type { Call, Contender } from "../contender.js";
import { PEER_TOLERANCE } from "../contender.js";

/**
 * jax-js: `nn.dotProductAttention` under `jit`, on a device that it makes itself. It submits every kernel by itself and
 * owns its outputs, so these cannot be filled with NaN beforehand: every run gets a fresh one.
 */
export async function startJaxJs(): Promise<Contender> {
  const started = await init("webgpu");
  if (!started.includes("webgpu")) throw new Error("jax-js found no WebGPU device");
  defaultDevice("webgpu");
  return {
    tolerance: PEER_TOLERANCE,
    calls: ({ problem, data }) => [
      {
        label: "jit(nn.dotProductAttention)",
        async prepare(): Promise<Call> {
          const isCausal = problem.options.causal === true;
          // Its causal mask starts with query 0 at key 0.
          if (isCausal && problem.tokensQ !== problem.tokensK) throw new Error("causal needs Tq = Tk");
          const attend = jit((q: numpy.Array, k: numpy.Array, v: numpy.Array) =>
            nn.dotProductAttention(q, k, v, { isCausal }),
          );
          const upload = ({ data: numbers, shape }: typeof data.q) =>
            numpy.array(numbers, { shape: [...shape] });
          const inputs = [upload(data.q), upload(data.k), upload(data.v)] as const;
          await blockUntilReady(inputs);
          let out: numpy.Array | undefined;
          return {
            async run() {
              out?.dispose();
              const [q, k, v] = inputs;
              out = await blockUntilReady(attend(q.ref, k.ref, v.ref));
            },
            async read() {
              return (await out!.ref.data()) as Float32Array;
            },
            destroy() {
              out?.dispose();
              for (const input of inputs) input.dispose();
              attend.dispose();
            },
          };
        },
      },
    ],
  };
}
