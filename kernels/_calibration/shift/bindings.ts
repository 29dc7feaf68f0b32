/** The names that the passes of shifts bind. The build fails where a kernel's WGSL and its list here differ. */
export const BINDINGS = {
  hidden_scores: ["params", "shift", "terms", "hidden", "scores"],
  sinks: ["params", "shift", "terms", "received", "scores", "given", "lists"],
  rows: ["params", "shift", "terms", "lse", "row_terms", "part_lse", "row_state"],
  shift: ["params", "shift", "q", "k", "v", "terms", "bias", "key_mask", "lists", "row_state"],
  apply: ["params", "shift", "terms", "out", "row_state", "part", "part_before", "part_after"],
  split_rows: ["params", "shift", "terms", "lists", "whole_rows", "cut_rows"],
  merge_rows: [
    "params",
    "shift",
    "terms",
    "lists",
    "lse",
    "part_lse",
    "lse_before",
    "lse_after",
    "row_state",
  ],
} as const;
