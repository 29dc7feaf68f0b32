/** The names that the softmax passes bind. The build fails where a kernel's WGSL and its list here differ. */
export const BINDINGS = {
  rows: ["params", "q", "k", "v", "out", "lse", "terms", "bias", "key_mask", "block_list", "query_rows"],
  tiled: ["params", "q", "k", "v", "out", "lse", "terms", "bias", "key_mask", "block_list", "query_rows"],
  split: ["params", "q", "k", "v", "terms", "bias", "key_mask", "partial_out", "partial_state"],
  strips: ["params", "q", "k", "v", "terms", "bias", "key_mask", "partial_out", "partial_state"],
  block_occupancy: ["params", "states"],
  block_entries: ["params", "states", "block_list"],
  merge: ["params", "out", "lse", "partial_out", "partial_state"],
} as const;
