/** The names that the passes of SALE's selection bind. The build fails where a kernel's WGSL and its list here differ. */
export const BINDINGS = {
  column_sums: ["params", "x", "sums"],
  column_means: ["params", "sums", "means"],
  quantise: ["params", "x", "means", "words", "scales"],
  correction: ["params", "x", "means", "k_scales", "corrections"],
  local_scores: ["params", "thresholds", "q", "k", "means", "q_scales", "states"],
  select_blocks: ["params", "thresholds", "q_words", "k_words", "k_scales", "corrections", "states", "hits"],
  list_blocks: ["params", "thresholds", "hits", "lists"],
} as const;
