/** What an application may put into softmax attention: WGSL bodies with their data, as plain objects. */

/** Data that a mod reads: a storage buffer of the application's, or numbers that the plan uploads. */
export interface ModBinding {
  /** WGSL type of the binding: `"array<f32>"`, `"array<u32>"`, `"array<vec4f>"`. */
  readonly type: string;
  /**
   * A `GPUBuffer` (STORAGE usage) is bound as it is, and read anew at every run. Numbers are converted to the element type,
   * which is f32, u32 or i32 or a vector of them, when planning.
   */
  readonly data: GPUBuffer | ArrayLike<number>;
}

export interface ModSource {
  /**
   * Body of the WGSL function, with `return`. It may call `query_position(b, i) -> i32`, the position of a query row among the keys,
   * and `first_key(b) -> u32`, which is 0 but for packed sequences.
   */
  readonly wgsl: string;
  /** Values by name, known to the compiler: integers may stand for u32, i32 and f32. Another value is another program. */
  readonly constants?: Readonly<Record<string, number | boolean>>;
  /** What the body reads besides, by name. */
  readonly bindings?: Readonly<Record<string, ModBinding>>;
  /** Further WGSL functions that the body calls. They may use the constants and bindings too. */
  readonly functions?: string;
}

/**
 * `fn score_mod(score: f32, b: u32, h: u32, i: u32, j: u32) -> f32`: changes a score that has scale, soft cap, ALiBi and bias
 * already. b, h, i, j count batch entry, query head, query row and key row. Called any number of times, also for pairs that
 * masks hide and for rows past the end, so it must depend on its arguments and bindings alone.
 */
export interface ScoreMod extends ModSource {}

/** `fn mask_mod(b: u32, h: u32, i: u32, j: u32) -> bool`: whether query row i may see key j. Called as a `ScoreMod` is. */
export interface MaskFunction extends ModSource {}

/** A function, or masks joined by `andMasks`, `orMasks`, `notMask`. */
export type MaskMod =
  | MaskFunction
  | { readonly and: readonly MaskMod[] }
  | { readonly or: readonly MaskMod[] }
  | { readonly not: MaskMod };

/** Pairs that every one of the masks lets through. */
export function andMasks(...masks: readonly MaskMod[]): MaskMod {
  return { and: masks };
}

/** Pairs that any of the masks lets through. */
export function orMasks(...masks: readonly MaskMod[]): MaskMod {
  return { or: masks };
}

/** Pairs that the mask hides. */
export function notMask(mask: MaskMod): MaskMod {
  return { not: mask };
}
