import type { AttentionContext, Shape4, TensorView } from "webgpu-attention";

/** Buffers by name for what the steps of a forward pass hand to each other. */
export interface Activations {
  /** A dense f32 view. */
  view(name: string, shape: Shape4): TensorView;
}

/** What one forward pass uses of a workspace. */
export interface WorkspaceUse extends Activations {
  /** When the pass is destroyed: its buffers go, but for those that other passes use, or will. */
  release(): void;
}

interface Shared {
  readonly buffer: GPUBuffer;
  users: number;
}

/**
 * Buffers that forward passes of all sizes share, one running after the other: one by each name, as large as the largest pass needs. One that has become
 * too small stays for the passes that were planned with it, and goes with the last of them.
 */
export class Workspace {
  readonly #ctx: AttentionContext;
  readonly #newest = new Map<string, Shared>();
  readonly #all = new Set<Shared>();

  constructor(ctx: AttentionContext) {
    this.#ctx = ctx;
  }

  /** For one forward pass, from its planning on. */
  use(): WorkspaceUse {
    const used = new Set<Shared>();
    return {
      view: (name, shape) => {
        const shared = this.#shared(name, shape);
        if (!used.has(shared)) shared.users++;
        used.add(shared);
        return { buffer: shared.buffer, dtype: "f32", shape };
      },
      release: () => {
        for (const shared of used) shared.users--;
        used.clear();
        this.#trim();
      },
    };
  }

  get bytes(): number {
    return [...this.#all].reduce((sum, { buffer }) => sum + buffer.size, 0);
  }

  /** What passes still use goes with them. */
  destroy(): void {
    this.#newest.clear();
    this.#trim();
  }

  #shared(name: string, shape: Shape4): Shared {
    const bytes = 4 * shape.reduce((product, size) => product * size, 1);
    const newest = this.#newest.get(name);
    if (newest && newest.buffer.size >= bytes) return newest;
    const made: Shared = { buffer: this.#ctx.empty(shape).buffer, users: 0 };
    this.#newest.set(name, made);
    this.#all.add(made);
    this.#trim();
    return made;
  }

  #trim(): void {
    const kept = new Set(this.#newest.values());
    for (const shared of this.#all) {
      if (shared.users > 0 || kept.has(shared)) continue;
      shared.buffer.destroy();
      this.#all.delete(shared);
    }
  }
}

/** A pass whose buffers go with it, or with the failure to plan it. */
export async function planWith<Planned extends { destroy(): void }>(
  work: Workspace,
  plan: (work: Activations) => Promise<Planned>,
): Promise<Planned> {
  const use = work.use();
  try {
    const planned = await plan(use);
    const destroy = () => {
      planned.destroy();
      use.release();
    };
    return { ...planned, destroy };
  } catch (error) {
    use.release();
    throw error;
  }
}
