/** The names that the passes of gaze shifts bind. The build fails where a kernel's WGSL and its list here differ. */
export const BINDINGS = {
  shifts: ["params", "gaze", "q", "k", "terms", "bias", "key_mask", "lse", "gaze_shifts"],
  saliency: ["params", "gaze", "gaze_shifts", "averages", "saliency"],
  masses: ["params", "gaze", "q", "k", "terms", "bias", "key_mask", "lse", "saliency", "masses"],
  row_bias: ["params", "gaze", "bias", "saliency", "masses", "row_bias"],
} as const;
