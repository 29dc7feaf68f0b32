/** The names that the passes of linear attention bind. The build fails where a kernel's WGSL and its list here differ. */
export const BINDINGS = {
  block_states: ["params", "k", "v", "powers", "states"],
  block_state_rows: ["params", "k", "v", "powers", "states"],
  scan: ["params", "powers", "states", "carry", "initial_s", "initial_z", "final_s", "final_z"],
  outputs: ["params", "q", "k", "v", "out", "powers", "raw", "states"],
  output_rows: ["params", "q", "k", "v", "out", "powers", "raw", "states"],
  serial: ["params", "decay", "q", "k", "v", "out", "initial_s", "initial_z", "final_s", "final_z"],
  recurrent: ["params", "decay", "q", "k", "v", "out", "initial_s", "initial_z", "final_s", "final_z"],
} as const;
