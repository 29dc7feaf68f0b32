/** The names that the passes of agent attention bind. The build fails where a kernel's WGSL and its list here differ. */
export const BINDINGS = {
  pool: ["params", "x", "agents"],
  taps: ["params", "weight", "bias", "taps"],
  aggregate: ["params", "k", "v", "agents", "agent_bias", "partial_out", "partial_state"],
  merge: ["params", "partial_out", "partial_state", "agent_values"],
  broadcast: ["params", "q", "v", "out", "agents", "agent_values", "query_bias", "taps"],
} as const;
