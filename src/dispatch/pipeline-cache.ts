import { AttentionError } from "./errors.js";
import type { ConstantValues, KernelModule } from "./kernel-module.js";
import { boundBy, type Specialisation, specialise } from "./specialise.js";
import { userPlace, withoutEndings } from "./user-code.js";

/** A kernel with everything that its machine code depends on. */
export interface PipelineRequest extends Specialisation {
  readonly kernel: KernelModule;
  readonly variant: string;
  readonly constants: ConstantValues;
}

export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Pipelines of one device. A pipeline is at most some hundred kilobytes, and a busy application needs a few dozen. */
const CAPACITY = 256;

/**
 * Compiles kernels asynchronously, so that the page never stalls, and shares results: a request for what is being
 * compiled already waits for that compilation. The least recently used pipeline goes first when the cache is full.
 */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #capacity: number;
  readonly #entries = new Map<string, Promise<CompiledKernel>>();

  constructor(device: GPUDevice, capacity = CAPACITY) {
    this.#device = device;
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(request: PipelineRequest): Promise<CompiledKernel> {
    const key = pipelineKey(request);
    const cached = this.#entries.get(key);
    this.#entries.delete(key);
    const entry = cached ?? this.#compile(request);
    this.#entries.set(key, entry);
    if (!cached) {
      // A failure is not kept: the next request tries again (the device may have been short of memory).
      entry.catch(() => this.#entries.get(key) === entry && this.#entries.delete(key));
      while (this.#entries.size > this.#capacity) this.#entries.delete(this.#entries.keys().next().value!);
    }
    return entry;
  }

  clear(): void {
    this.#entries.clear();
  }

  async #compile(request: PipelineRequest): Promise<CompiledKernel> {
    const variant = request.kernel.variants[request.variant];
    if (!variant) throw new Error(`${request.kernel.name} has no variant ${request.variant}`);
    const label = `${request.kernel.name}:${request.variant}`;
    const layout = this.#device.createBindGroupLayout({
      label,
      entries: boundBy(variant, request).map(({ binding, type }) => ({
        binding,
        visibility: 4 /* COMPUTE */,
        buffer: { type },
      })),
    });
    const code = specialise(variant, request);
    const module = this.#device.createShaderModule({ label, code });
    try {
      const pipeline = await this.#device.createComputePipelineAsync({
        label,
        layout: this.#device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: variant.entryPoint },
      });
      return { pipeline, layout };
    } catch (cause) {
      const { messages } = await module.getCompilationInfo();
      const said = messages.length > 0 ? messages : messagesOf(cause);
      const errors = said.filter((message) => message.type === "error");
      const first = errors[0]
        ? `${errors[0].lineNum}:${errors[0].linePos} ${errors[0].message}`
        : String(cause);
      throwUserError(code, [...errors, ...said], cause);
      throw new AttentionError("compile", {
        subject: label,
        expected: "a kernel that the driver compiles",
        got: first,
        fix: "Report this with the adapter's name and driver version; another variant may work meanwhile.",
        cause,
      });
    }
  }
}

type Message = Pick<GPUCompilationMessage, "type" | "message" | "lineNum" | "linePos">;

/** Some implementations say where only in the error itself. */
function messagesOf(cause: unknown): Message[] {
  const text = String((cause as Error)?.message ?? cause);
  return [...text.matchAll(/:(\d+):(\d+)/g)].map((match) => ({
    type: "error",
    message: text,
    lineNum: Number(match[1]),
    linePos: Number(match[2]),
  }));
}

/** @throws AttentionError "compile" with the application's own line, where a message is about one */
function throwUserError(code: string, messages: readonly Message[], cause: unknown): void {
  for (const { message, lineNum, linePos } of messages) {
    const place = userPlace(code, lineNum, linePos);
    if (!place) continue;
    throw new AttentionError("compile", {
      subject: `${place.path}, line ${place.line}, column ${place.column}`,
      expected: "WGSL that the driver compiles",
      got: withoutEndings(message),
      fix: "Correct it there; lines count from the first of the text that was given.",
      cause,
    });
  }
}

export function pipelineKey({ kernel, variant, ...rest }: PipelineRequest): string {
  const { constants, slots = {}, slotBindings = [], unroll = {}, unused = [] } = rest;
  const sorted = (record: object) =>
    JSON.stringify(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
  const parts = [constants, slots, unroll].map(sorted);
  return [
    `${kernel.name}#${kernel.hash}`,
    variant,
    ...parts,
    JSON.stringify(slotBindings),
    [...unused].sort(),
  ].join(":");
}
