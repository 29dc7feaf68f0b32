/** The names that the passes around softmax attention bind. The build fails where a kernel's WGSL and its list here differ. */
export const BINDINGS = {
  row_facts: ["params", "q", "k", "terms", "bias", "key_mask", "programs", "walk", "facts", "path_terms"],
  chunk_sums: ["params", "q", "v", "terms", "key_mask", "chunk_sums"],
  running_sums: ["params", "q", "v", "terms", "key_mask", "chunk_sums", "sums"],
  mix_terms: ["params", "terms", "programs", "facts", "lse", "mean_lse", "path_lse", "factors", "row_terms"],
  mix_rows: ["params", "v", "out", "factors", "value_sums", "mean_out"],
} as const;
