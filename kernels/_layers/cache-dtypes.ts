import type { DType } from "../../src/dispatch/tensor-view.js";

/** Storage of a cache of keys and values, in the order of `head_store.wgsl`; 2 to the power of its place is the elements in a word. */
export const CACHE_DTYPES: readonly DType[] = ["f32", "f16", "q8"];
