/**
 * What the kernel plugin makes of a `.wgsl` file at build time (see `src/build/kernel-plugin.ts`): linked text,
 * reflected bindings and uniform layouts, lifted constants and named slots. Plain data, no GPU.
 */
export interface KernelModule {
  /** Folder and file, `"softmax/tiled"`. */
  readonly name: string;
  /** The `@if(...)` conditions that the file or its imports use, sorted: `["f16", "vec4"]`. */
  readonly conditions: readonly string[];
  /** Hash of all variants, so that stored tuning results die with the kernel that they measured. */
  readonly hash: string;
  /** Key: the conditions that hold, joined with `+`; `"base"` when none does. */
  readonly variants: Readonly<Record<string, KernelVariant>>;
}

export interface KernelVariant {
  /** Linked WGSL without `enable` lines and without the lifted constants. */
  readonly code: string;
  /** `enable` directives that this variant needs. */
  readonly enables: readonly string[];
  readonly entryPoint: string;
  readonly bindings: readonly KernelBinding[];
  /** Per uniform binding: its struct. */
  readonly uniforms: Readonly<Record<string, UniformLayout>>;
  readonly constants: Readonly<Record<string, KernelConstant>>;
  /** Functions whose bodies run time may replace, by name: `fn score_mod(score: f32, j: u32) -> f32`. */
  readonly slots: Readonly<Record<string, string>>;
}

export interface KernelBinding {
  readonly name: string;
  readonly group: number;
  readonly binding: number;
  readonly type: "uniform" | "storage" | "read-only-storage";
}

export type UniformType = "u32" | "i32" | "f32";

export interface UniformField {
  readonly offset: number;
  readonly type: UniformType;
  /** Numbers that it holds: 4 for a vec4, 4n for an array of n. Default 1. */
  readonly length?: number;
}

export interface UniformLayout {
  /** Struct size in bytes. */
  readonly size: number;
  readonly fields: Readonly<Record<string, UniformField>>;
}

/** A `const NAME: type = literal;` of the WGSL, which run time may give another value. */
export interface KernelConstant {
  readonly type: "u32" | "i32" | "f32" | "bool";
  readonly default: number | boolean;
}

export type ConstantValues = Readonly<Record<string, number | boolean>>;
/** A body for a slot, with what it needs at module scope. */
export interface SlotBody {
  readonly body: string;
  /** Functions and bindings that the body uses. */
  readonly declarations?: string;
}

/**
 * WGSL function bodies by slot name. Several bodies of a slot are chained: each gets the result of the one before as its
 * first argument; those of a slot that returns bool are joined by "and".
 */
export type SlotBodies = Readonly<Record<string, readonly (string | SlotBody)[]>>;

/** A storage binding that is not the kernel's own: bodies of slots read it. Declared for every kernel that has a slot. */
export interface SlotBinding {
  readonly name: string;
  /** WGSL type, `array<f32>`. */
  readonly type: string;
  /** What to call it in messages. */
  readonly path: string;
}

/** A `.wgsl` file with one slot function, imported with `?mod`: a ready-made body for that slot. */
export interface KernelMod {
  /** `"score_mod"` */
  readonly slot: string;
  readonly body: string;
}
