/**
 * All cases in Node, each sixth in a browser. There, Dawn compiles the same WGSL for the same driver: what a table of cases would find, it finds in
 * Node, and pipelines take a second each on a CPU driver. What a browser adds (its process for the GPU, its limits, its features) some show.
 */
export function someInBrowser<Case>(cases: readonly Case[]): Case[] {
  const inBrowser = typeof process === "undefined";
  return cases.filter((_, index) => !inBrowser || index % 6 === 0);
}
