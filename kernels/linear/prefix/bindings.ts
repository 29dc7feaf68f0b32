/** The names that the passes of prefix softmax bind. The build fails where a kernel's WGSL and its list here differ. */
export const BINDINGS = {
  scores: ["params", "lengths", "q", "k", "scores"],
  chunk_sums: ["params", "lengths", "scores", "v", "sums"],
  scan: ["params", "state", "sums"],
  outputs: ["params", "lengths", "scores", "v", "sums", "state", "state_out", "out"],
} as const;
