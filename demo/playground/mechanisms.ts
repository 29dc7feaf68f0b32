import type { PlaygroundMechanism } from "../../kernels/_playground/mechanism.js";

const FOUND = import.meta.glob<PlaygroundMechanism>("../../kernels/*/playground.ts", { import: "default" });

/** Name of the mechanism's folder, and how to load what it says about itself. Kernels are compiled when they are asked for. */
export const MECHANISMS: ReadonlyMap<string, () => Promise<PlaygroundMechanism>> = new Map(
  Object.entries(FOUND).map(([path, load]) => [path.split("/").at(-2)!, load]),
);
