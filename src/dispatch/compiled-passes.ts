import { type BoundPlan, nothingToPrepare } from "./bound-plan.js";
import { BufferUsage } from "./buffer-usage.js";
import type { Capabilities } from "./capabilities.js";
import { fail } from "./check.js";
import type { AttentionContext } from "./context.js";
import { AttentionError } from "./errors.js";
import type { BindingSource, Pass } from "./pass.js";
import type { CompiledKernel, PipelineRequest } from "./pipeline-cache.js";
import type { Profiler } from "./profiler.js";
import type { ScratchArena } from "./scratch.js";
import { boundBy } from "./specialise.js";
import { packUniforms } from "./uniforms.js";
import { withoutEndings } from "./user-code.js";
import type { BufferRange } from "./validate.js";

/** Bind groups for this many different sets of buffers are kept: a double-buffered application uses two. */
const KEPT_TENSOR_SETS = 16;

interface TensorSet {
  readonly key: readonly (GPUBuffer | number)[];
  readonly groups: readonly GPUBindGroup[];
}

/** u32 data of a plan: given values, or a buffer of the application's that is copied in at every `record`. */
export interface Table {
  readonly values: Uint32Array<ArrayBuffer>;
  readonly copies?: readonly {
    readonly from: GPUBuffer;
    /** Words. */
    readonly first?: number;
    readonly to: number;
    readonly count: number;
  }[];
}

/**
 * Passes with their pipelines, uniforms and bind groups. `encode` neither submits nor allocates, except that a set of
 * buffers seen for the first time gets its bind groups.
 */
export class CompiledPasses {
  readonly passes: readonly Pass[];
  readonly #context: AttentionContext;
  readonly #scratch: ScratchArena;
  readonly #kernels: readonly CompiledKernel[];
  readonly #uniforms: ReadonlyMap<string, GPUBuffer>;
  readonly #tables: ReadonlyMap<string, { buffer: GPUBuffer; table: Table }>;
  /** Slots of scratch that the passes use, and the bytes that they need of each. */
  readonly #scratchBytes: readonly (readonly [slot: number, bytes: number])[];
  /** One function, whatever tensors are bound, so that those who bind several sets know that once is enough. */
  readonly #prepare: (encoder: GPUCommandEncoder) => void;
  #sets: TensorSet[] = [];
  #destroyed = false;

  /** @param scratch what the passes hand to each other; default the context's, which all of its plans share */
  static async compile(
    context: AttentionContext,
    passes: readonly Pass[],
    tables: Readonly<Record<string, Table>> = {},
    scratch: ScratchArena = context.scratch,
  ): Promise<CompiledPasses> {
    for (const pass of passes) checkBindings(pass, context.capabilities, tables);
    // A kernel that the driver refuses rejects with its message: the application's handler need not hear of it as well.
    context.device.pushErrorScope("validation");
    const compiling = passes.map((pass) => context.pipelines.get(pipelineRequest(pass)));
    context.device.popErrorScope().catch(() => {});
    const kernels = await Promise.all(compiling);
    return new CompiledPasses(context, passes, kernels, tables, scratch);
  }

  private constructor(
    context: AttentionContext,
    passes: readonly Pass[],
    kernels: readonly CompiledKernel[],
    tables: Readonly<Record<string, Table>>,
    scratch: ScratchArena,
  ) {
    const { device } = context;
    this.#context = context;
    this.#scratch = scratch;
    this.passes = passes;
    this.#kernels = kernels;
    this.#uniforms = new Map(
      passes.flatMap((pass, index) =>
        Object.entries(pass.uniforms).map(([name, values]) => {
          const layout = pass.kernel.variants[pass.variant]!.uniforms[name];
          if (!layout) throw new Error(`${pass.kernel.name} has no uniform ${name}`);
          return [
            `${index}.${name}`,
            filledBuffer(device, packUniforms(layout, values), BufferUsage.UNIFORM),
          ] as const;
        }),
      ),
    );
    this.#tables = new Map(
      Object.entries(tables).map(([name, table]) => {
        const usage = BufferUsage.STORAGE | BufferUsage.COPY_DST;
        return [name, { table, buffer: filledBuffer(device, table.values.buffer, usage) }] as const;
      }),
    );
    this.#scratchBytes = scratchBytes(passes);
    const copies = Object.values(tables).some((table) => (table.copies ?? []).length > 0);
    this.#prepare = copies ? (encoder) => this.#fillTables(encoder) : nothingToPrepare;
  }

  /**
   * All passes with their tensors, given as `encode` takes them: what follows looks at nothing and allocates nothing, except that bind groups
   * are made anew when scratch has grown.
   *
   * @throws AttentionError "disposed" or "device-lost"
   */
  bind(tensors: Readonly<Record<string, BufferRange>>): BoundPlan {
    this.#assertUsable();
    let groups = this.#makeGroups(tensors, this.#acquireScratch());
    let generation = this.#scratch.generation;
    return {
      prepare: this.#prepare,
      dispatch: (compute) => {
        this.#assertUsable();
        if (this.#scratchBytes.length > 0 && generation !== this.#scratch.generation) {
          groups = this.#makeGroups(tensors, this.#acquireScratch());
          generation = this.#scratch.generation;
        }
        for (let index = 0; index < groups.length; index++) this.#dispatch(compute, index, groups);
      },
    };
  }

  /**
   * Records all passes, or those of `range`. Tensors are given by the names that the passes' bindings use.
   *
   * @throws AttentionError "disposed" or "device-lost"
   */
  encode(
    encoder: GPUCommandEncoder,
    tensors: Readonly<Record<string, BufferRange>>,
    options: {
      readonly profiler?: Profiler | undefined;
      readonly range?: { readonly from: number; readonly to: number };
    } = {},
  ): void {
    this.#assertUsable();
    const groups = this.#groups(tensors);
    const { from, to } = options.range ?? { from: 0, to: this.passes.length };
    if (from === 0) this.#prepare(encoder);
    if (options.profiler) {
      for (let index = from; index < to; index++) {
        const { name } = this.passes[index]!;
        const timestampWrites = options.profiler.next(name);
        const compute = encoder.beginComputePass({
          label: name,
          ...(timestampWrites && { timestampWrites }),
        });
        this.#dispatch(compute, index, groups);
        compute.end();
      }
    } else {
      // Dispatches of one compute pass run in order and see each other's writes; a pass each would only cost time.
      const compute = encoder.beginComputePass({ label: "webgpu-attention" });
      for (let index = from; index < to; index++) this.#dispatch(compute, index, groups);
      compute.end();
    }
  }

  #assertUsable(): void {
    this.#context.assertUsable();
    if (!this.#destroyed) return;
    throw new AttentionError("disposed", {
      subject: "plan",
      expected: "a plan in use",
      got: "a plan after destroy()",
      fix: "Make a new plan.",
    });
  }

  #fillTables(encoder: GPUCommandEncoder): void {
    for (const { table, buffer } of this.#tables.values()) {
      for (const { from, first = 0, to, count } of table.copies ?? [])
        encoder.copyBufferToBuffer(from, 4 * first, buffer, 4 * to, 4 * count);
    }
  }

  /** Frees the plan's uniforms and tables. Pipelines and scratch are shared. */
  destroy(): void {
    this.#destroyed = true;
    this.#sets = [];
    for (const buffer of this.#uniforms.values()) buffer.destroy();
    for (const { buffer } of this.#tables.values()) buffer.destroy();
  }

  #dispatch(compute: GPUComputePassEncoder, index: number, groups: readonly GPUBindGroup[]): void {
    compute.setPipeline(this.#kernels[index]!.pipeline);
    compute.setBindGroup(0, groups[index]!);
    const [x, y, z] = this.passes[index]!.workgroups;
    compute.dispatchWorkgroups(x, y, z);
  }

  #acquireScratch(): ReadonlyMap<number, GPUBuffer> {
    return new Map(this.#scratchBytes.map(([slot, bytes]) => [slot, this.#scratch.acquire(slot, bytes)]));
  }

  /** Bind groups for these buffers: from the last sets seen, else made now. */
  #groups(tensors: Readonly<Record<string, BufferRange>>): readonly GPUBindGroup[] {
    const scratch = this.#acquireScratch();
    const key = [
      ...Object.values(tensors).flatMap(({ buffer, offset, size }) => [buffer, offset, size]),
      ...scratch.values(),
    ];
    const known = this.#sets.find(
      (set) => set.key.length === key.length && set.key.every((part, i) => part === key[i]),
    );
    if (known) return known.groups;
    const groups = this.#makeGroups(tensors, scratch);
    this.#sets = [{ key, groups }, ...this.#sets].slice(0, KEPT_TENSOR_SETS);
    return groups;
  }

  #makeGroups(
    tensors: Readonly<Record<string, BufferRange>>,
    scratch: ReadonlyMap<number, GPUBuffer>,
  ): readonly GPUBindGroup[] {
    return this.passes.map((pass, index) => this.#bindGroup(pass, index, tensors, scratch));
  }

  #bindGroup(
    pass: Pass,
    index: number,
    tensors: Readonly<Record<string, BufferRange>>,
    scratch: ReadonlyMap<number, GPUBuffer>,
  ): GPUBindGroup {
    const resource = (name: string, source: BindingSource): GPUBufferBinding => {
      if ("scratch" in source) return { buffer: scratch.get(source.scratch)!, size: source.bytes };
      if ("table" in source) return { buffer: this.#tables.get(source.table)!.buffer };
      if ("buffer" in source) return { buffer: source.buffer };
      const range = "tensor" in source && tensors[source.tensor];
      if (!range) throw new Error(`${pass.name}: no tensor for binding ${name}`);
      return range;
    };
    const bindings = boundBy(pass.kernel.variants[pass.variant]!, pipelineRequest(pass));
    return this.#context.device.createBindGroup({
      label: pass.name,
      layout: this.#kernels[index]!.layout,
      entries: bindings.map(({ name, binding, type }) => {
        if (type === "uniform")
          return { binding, resource: { buffer: this.#uniforms.get(`${index}.${name}`)! } };
        const source = pass.bindings[name];
        if (!source) throw new Error(`${pass.name}: binding ${name} was not planned`);
        return { binding, resource: resource(name, source) };
      }),
    });
  }
}

function scratchBytes(passes: readonly Pass[]): [slot: number, bytes: number][] {
  const most = new Map<number, number>();
  for (const source of passes.flatMap(({ bindings }) => Object.values(bindings)))
    if ("scratch" in source) most.set(source.scratch, Math.max(source.bytes, most.get(source.scratch) ?? 0));
  return [...most];
}

function pipelineRequest(pass: Pass): PipelineRequest {
  const unused = Object.entries(pass.bindings).flatMap(([name, source]) =>
    "unused" in source ? [name] : [],
  );
  return { ...pass, unused };
}

/** @throws AttentionError "limit" or "shape": options, and what a mod reads, may add up to more than a device binds. */
function checkBindings(pass: Pass, { limits }: Capabilities, tables: Readonly<Record<string, Table>>): void {
  const bound = boundBy(pass.kernel.variants[pass.variant]!, pipelineRequest(pass));
  const names = bound.flatMap(({ name, type }) => (type === "uniform" ? [] : [name]));
  const most = limits.maxStorageBuffersPerShaderStage;
  if (names.length > most)
    fail(
      "limit",
      `storage buffers of ${pass.name}`,
      `at most ${most} (the device's maxStorageBuffersPerShaderStage)`,
      `${names.length}: ${withoutEndings(names.join(", "))}`,
      "Request the device with AttentionContext.requirements(adapter), use fewer options at once, or pack bindings of mods into one.",
    );
  for (const [name, source] of Object.entries(pass.bindings)) {
    const bytes =
      "buffer" in source
        ? source.buffer.size
        : "table" in source
          ? tables[source.table]!.values.byteLength
          : "scratch" in source
            ? source.bytes
            : 0;
    const subject = pass.slotBindings?.find((slot) => slot.name === name)?.path ?? name;
    if (bytes > limits.maxStorageBufferBindingSize)
      fail(
        "limit",
        `buffer of ${subject}`,
        `at most ${limits.maxStorageBufferBindingSize} bytes (the device's maxStorageBufferBindingSize)`,
        `${bytes} bytes`,
        "Request the device with AttentionContext.requirements(adapter), or make it smaller.",
      );
    if (bytes % 4 !== 0)
      fail(
        "shape",
        `buffer of ${subject}`,
        "a multiple of 4 bytes",
        `${bytes} bytes`,
        "Storage is bound in words.",
      );
  }
}

function filledBuffer(device: GPUDevice, bytes: ArrayBuffer, usage: number): GPUBuffer {
  const buffer = device.createBuffer({
    size: Math.ceil(bytes.byteLength / 4) * 4,
    usage,
    mappedAtCreation: true,
  });
  new Uint8Array(buffer.getMappedRange()).set(new Uint8Array(bytes));
  buffer.unmap();
  return buffer;
}
