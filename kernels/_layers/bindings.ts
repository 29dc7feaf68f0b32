/** The names that the layers' passes bind. The build fails where a kernel's WGSL and its list here differ. */
export const BINDINGS = {
  embedding: ["params", "ids", "table", "positions", "out"],
  l2_normalize: ["params", "x", "out"],
  layer_norm: ["params", "x", "scale", "bias", "out"],
  linear: ["params", "x", "weight", "bias", "residual", "out"],
  mean_pool: ["params", "x", "lengths", "out"],
} as const;
