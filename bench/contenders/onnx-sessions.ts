import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url";
import { env, InferenceSession, Tensor } from "onnxruntime-web/webgpu";
import { requestDevice } from "../gpu.js";
import { encodeModel, type OperatorModel } from "./onnx-model.js";

/** A device for onnxruntime-web with what its kernels may use. */
export async function onnxDevice(optional: readonly GPUFeatureName[]): Promise<GPUDevice> {
  env.wasm.wasmPaths = { wasm: wasmUrl };
  env.wasm.numThreads = 1;
  env.logLevel = "error";
  return requestDevice(({ features, limits }) => ({
    requiredFeatures: optional.filter((name) => features.has(name)),
    requiredLimits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
    },
  }));
}

/** f32 tensors over buffers of ours, by name. */
export function bindBuffers(
  shapes: Readonly<Record<string, readonly number[]>>,
  buffers: Readonly<Record<string, GPUBuffer>>,
): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, dims]) => [
      name,
      Tensor.fromGpuBuffer(buffers[name]! as unknown as Parameters<typeof Tensor.fromGpuBuffer>[0], {
        dataType: "float32",
        dims: [...dims],
      }),
    ]),
  );
}

/** Sessions on one device, of which the newest is never released: the release of the last one destroys the device. */
export class Sessions {
  readonly #device: GPUDevice;
  #newest: InferenceSession | undefined;
  readonly #waiting = new Set<InferenceSession>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  async create(model: OperatorModel): Promise<InferenceSession> {
    const session = await InferenceSession.create(encodeModel(model), {
      executionProviders: [{ name: "webgpu", device: this.#device }],
      preferredOutputLocation: "gpu-buffer",
      logSeverityLevel: 3,
    });
    this.#newest = session;
    const released = [...this.#waiting];
    this.#waiting.clear();
    await Promise.all(released.map((old) => old.release()));
    return session;
  }

  /** Releases a session, or, where it is the newest, as soon as there is another. */
  release(session: InferenceSession): void {
    if (session === this.#newest) this.#waiting.add(session);
    else session.release();
  }
}
