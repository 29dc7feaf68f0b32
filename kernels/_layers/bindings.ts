/** The names that the layers' passes bind. The build fails where a kernel's WGSL and its list here differ. */
export const BINDINGS = {
  embedding: ["params", "ids", "table", "positions", "out"],
  l2_normalize: ["params", "x", "out"],
  layer_norm: ["params", "x", "scale", "bias", "out"],
  linear: ["params", "x", "weight", "bias", "residual", "out"],
  gate: ["params", "x", "gate", "out"],
  lrpe: ["params", "x", "out", "steps"],
  mean_pool: ["params", "x", "lengths", "out"],
  rms_norm: ["params", "x", "scale", "out"],
} as const;
