/** The names that the passes of mixture-of-head attention bind. The build fails where a kernel's WGSL and its list here differ. */
export const BINDINGS = {
  logits: ["params", "x", "weight", "scores"],
  norms: ["params", "q", "scores"],
  gates: ["params", "scores", "gates", "probabilities"],
  lists: ["params", "gates", "lists", "probabilities", "shares"],
  loss: ["params", "shares", "loss"],
  order: ["params", "gates", "order", "tile_heads"],
  project: ["params", "rows", "gates", "heads", "weight", "bias", "out", "tile_heads"],
  project_rows: ["params", "gates", "heads", "weight", "bias", "out"],
  store: ["params", "sums", "out"],
} as const;
