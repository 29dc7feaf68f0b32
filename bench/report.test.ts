import { describe, expect, it } from "vitest";
import { type BenchReport, formatReport, oursIsRight, reportAsJson } from "./report.js";
import type { CallResult, RowResult } from "./results.js";
import { benchProblem } from "./suite.js";

const timed = (contender: CallResult["contender"], samples: number[], call = "f"): CallResult => ({
  contender,
  call,
  status: "timed",
  tolerance: 1e-4,
  maxRelative: 1e-7,
  dispatches: 1,
  samples,
});

const sizes = { tokensQ: 512, tokensK: 512 };

function rowResult(causal: boolean, calls: CallResult[]): RowResult {
  const problem = benchProblem(causal ? "causal 512" : "full 512", sizes, { causal });
  const matmul = [
    { name: "small", flops: 4e8, samples: [100, 100, 110] },
    { name: "large", flops: 4e8, samples: [80, 80, 90] },
  ];
  return { suite: "prefill", problem, flops: 4e8, checkedTokens: 512, calls, matmul };
}

const full = rowResult(false, [
  timed("ours", [100, 160, 120]),
  timed("onnxruntime-web", [300, 310, 320], "slow"),
  timed("onnxruntime-web", [240, 250, 230], "quick"),
  { ...timed("jax-js", []), status: "wrong", maxRelative: 1.39 },
]);
const causal = rowResult(true, [
  timed("ours", [60, 60, 60]),
  timed("onnxruntime-web", [480, 480, 480]),
  { ...timed("jax-js", []), status: "failed", message: "out of memory\nat f" },
]);

const report: BenchReport = {
  date: "2026-01-02T03:04:05.000Z",
  versions: { ours: "0.1.0", "onnxruntime-web": "1.0.0", "jax-js": "2.0.0" },
  start: { adapter: "some adapter", software: true, failures: {} },
  rounds: 3,
  matmul: [
    { name: "large", status: "timed", size: 512, flops: 4e8, samples: [50, 50, 50] },
    { name: "odd", status: "wrong", maxRelative: 0.5, size: 512, flops: 4e8, samples: [] },
  ],
  rows: [full, causal],
};

const text = formatReport(report);

/** Cells of the first line that starts with this. */
function cells(start: string, from = text): string[] {
  const line = from.split("\n").find((candidate) => candidate.startsWith(start));
  return line?.split(/ {2,}/) ?? [];
}

describe("the report", () => {
  it("says what ran where, and that a CPU driver is one", () => {
    expect(text).toContain("2026-01-02T03:04:05.000Z, some adapter");
    expect(text).toContain("CPU driver");
    expect(text).toContain("ours 0.1.0, onnxruntime-web 1.0.0, jax-js 2.0.0");
    const onGpu = formatReport({ ...report, start: { ...report.start, software: false } });
    expect(onGpu).not.toContain("CPU driver");
  });

  it("gives medians, rates, and ours against the fastest right call of a peer", () => {
    expect(cells("prefill full 512")).toEqual([
      "prefill full 512",
      "120 (100 to 160)",
      "3.33",
      "75 %",
      "240 (230 to 250)",
      "wrong (max error 1.39e+0)",
      "1.92x onnxruntime-web",
    ]);
  });

  it("says why a call has no time, on a line of its own", () => {
    expect(cells("prefill causal 512")[5]).toBe("failed");
    expect(text).toContain("prefill causal 512: jax-js f failed: out of memory\n");
    expect(text).toContain("prefill full 512: jax-js f wrong (max error 1.39e+0)\n");
  });

  it("compares causal with full attention of the same sizes, where both were timed", () => {
    expect(cells("prefill causal 512 / full 512").slice(1)).toEqual(["0.50", "2.00", "-"]);
    expect(formatReport({ ...report, rows: [causal] })).not.toContain("causal time / full time");
  });

  it("gives the adapter's matmul rate over the whole run, and no rate to a wrong one", () => {
    expect(cells("odd")).toEqual(["odd", "wrong (max error 5.00e-1)"]);
    expect(text).toContain("best plain f32 matmul: 5.00 GFLOP/s (median; 5.00 to 8.00 from row to row)");
  });

  it("can do without peers and without a matmul", () => {
    const alone = { ...full, calls: [full.calls[0]!], matmul: [] };
    const matmul = [{ ...report.matmul[1]! }];
    const bare = formatReport({ ...report, versions: { ours: "0.1.0" }, matmul, rows: [alone] });
    expect(cells("prefill full 512", bare)).toEqual([
      "prefill full 512",
      "120 (100 to 160)",
      "3.33",
      "-",
      "-",
    ]);
    expect(bare).toContain("nothing to hold the rows against");
  });
});

it("keeps every sample in the JSON, with what they mean", () => {
  const json = JSON.parse(reportAsJson(report));
  expect(json.rows[0].calls[0].samples).toEqual([100, 160, 120]);
  expect(json.comparisons[0]).toMatchObject({
    row: "prefill full 512",
    matmulGflops: 5,
    againstPeer: { peer: "onnxruntime-web", speedup: expect.closeTo(230 / 120) },
  });
  expect(json.causalRatios).toMatchObject([{ ratios: { ours: 0.5 } }]);
});

it("holds us, not others, to being right", () => {
  expect(oursIsRight(report)).toBe(true);
  const wrong = rowResult(false, [{ ...timed("ours", []), status: "wrong" }]);
  expect(oursIsRight({ ...report, rows: [full, wrong] })).toBe(false);
});
