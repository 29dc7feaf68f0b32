// The keys that a workgroup of `sweep.wgsl` walks over at a time, and where its sums go.

const THREADS: u32 = 4u;
/// Keys of a tile: a multiple of 4, at most 32 and without subgroups at most THREADS.
const KEYS: u32 = 8u;
const KEY_QUADS = KEYS / 4u;

@group(0) @binding(15) var<storage, read_write> partials: array<f32>;
