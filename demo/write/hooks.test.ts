import { describe, expect, it, vi } from "vitest";
import { HOOK_KINDS, type HookChoice, seesAhead } from "./hook-kinds.js";
import { hooksOf, KnownHooks } from "./hook-operations.js";

// The real functions by themselves: the whole of the hooks would have every kernel compiled for this.
vi.mock("webgpu-attention/hooks", async () => ({
  ...(await import("../../src/hooks/head-perturbation/perturbation.js")),
  ...(await import("../../src/hooks/sink-calibration/shift-operations.js")),
}));

const heads = [{ layer: 1, head: 2 }];

function initial(kind: HookChoice["kind"], values: Record<string, string> = {}): HookChoice {
  const { fields } = HOOK_KINDS.find(({ name }) => name === kind)!;
  const own = Object.fromEntries(fields.map(({ name, initial: value }) => [name, value]));
  return { kind, heads, values: { ...own, ...values } };
}

/** What a choice does to its head. */
function operation(choice: HookChoice): unknown {
  const site = { mechanism: "softmax", phase: "prefill", positions: [0, 4] } as const;
  const [hook] = hooksOf([choice]);
  expect(hook!.prepare!({ ...site, layer: 0 })).toBeUndefined();
  return (hook!.prepare!({ ...site, layer: 1 })!.heads as ReadonlyMap<number, unknown>).get(2);
}

describe("hooks of the page", () => {
  it("do to heads what their fields say", () => {
    expect(operation(initial("mask"))).toEqual({ kind: "mix", target: "uniform", u: 1 });
    expect(operation(initial("mask", { into: "zero" }))).toMatchObject({ target: "zero" });
    expect(operation(initial("identity", { u: "0.25" }))).toMatchObject({ target: "identity", u: 0.25 });
    expect(operation(initial("gain", { factor: "-1" }))).toEqual({ kind: "gain", output: -1 });
    expect(operation(initial("scores"))).toEqual({ kind: "scale", logits: 0.3 });
    expect(operation(initial("calibrate"))).toMatchObject({ kind: "shift", keep: 0.4, protect: [0] });
    expect(operation(initial("calibrate", { first: "too" }))).toMatchObject({ protect: [] });
  });

  it("refuse what an operation cannot take", () => {
    expect(() => hooksOf([initial("identity", { u: "2" })])).toThrow(/u: expected/);
    expect(() => hooksOf([initial("gain", { factor: "" })])).toThrow(/gain|output/);
  });

  it("are none without heads, and the same objects for the same choices", () => {
    expect(hooksOf([{ ...initial("mask"), heads: [] }])).toEqual([]);
    const known = new KnownHooks();
    const first = known.of([initial("mask")]);
    expect(known.of([initial("mask")])).toBe(first);
    expect(known.of([initial("gain")])).not.toBe(first);
    expect(known.of([])).toEqual([]);
  });

  it("see ahead where they look for sinks", () => {
    expect(seesAhead([initial("mask"), initial("calibrate")])).toBe(true);
    expect(seesAhead([initial("mask"), initial("gain")])).toBe(false);
  });

  it("come with a paper and a sentence each", () => {
    for (const { paper, summary } of HOOK_KINDS) {
      expect(paper.arxiv).toMatch(/^\d{4}\.\d{5}$/);
      expect(summary).toMatch(/\.$/);
    }
  });
});
