import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RowComparison } from "../../bench/comparison.js";
import type { BenchReport } from "../../bench/report.js";
import { runTool, type ToolRun } from "../support/run-tool.js";

const SCRIPT = "bench/index.ts";

describe("npm run bench", () => {
  let folder: string;
  let run: ToolRun;
  let report: BenchReport & { comparisons: RowComparison[] };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "bench-"));
    const json = join(folder, "results.json");
    run = await runTool(SCRIPT, "--suite", "smoke", "--against", "onnxruntime-web,jax-js", "--json", json);
    expect(run, run.stderr).toMatchObject({ code: 0 });
    report = JSON.parse(readFileSync(json, "utf8"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("checks every call of every contender on the GPU, and then times it in every round", () => {
    expect(report.rows).toHaveLength(5);
    for (const { problem, calls, checkedTokens } of report.rows) {
      expect(checkedTokens).toBe(problem.tokensQ);
      expect(new Set(calls.map(({ contender }) => contender))).toEqual(
        new Set(["ours", "onnxruntime-web", "jax-js"]),
      );
      for (const call of calls) {
        expect(call, problem.name).toMatchObject({ status: "timed" });
        expect(call.tolerance).toBe(call.contender === "ours" ? 1e-5 : 1e-4);
        expect(call.maxRelative).toBeLessThanOrEqual(call.tolerance!);
        // Exactly zero would mean that nothing was compared: float32 is never that right.
        expect(call.maxRelative).toBeGreaterThan(0);
        expect(call.dispatches).toBeGreaterThan(0);
        expect(call.samples).toHaveLength(report.rounds);
        for (const sample of call.samples) expect(sample).toBeGreaterThan(0);
      }
    }
  });

  it("asks onnxruntime-web in every way that computes a row", () => {
    const operators = report.rows.map(({ calls }) =>
      calls.filter(({ contender }) => contender === "onnxruntime-web").map(({ call }) => call),
    );
    const [mha, gqa] = ["MultiHeadAttention", "GroupQueryAttention"];
    expect(operators).toEqual([[mha], [mha, gqa], [gqa], [mha, gqa], [gqa]]);
  });

  it("holds every row against a right matrix product of the same rounds", () => {
    expect(report.matmul.map(({ status }) => status)).toEqual(report.matmul.map(() => "timed"));
    for (const { row, matmulGflops, fractionOfMatmul, againstPeer } of report.comparisons) {
      expect(matmulGflops, row).toBeGreaterThan(0.1);
      expect(fractionOfMatmul, row).toBeGreaterThan(0);
      expect(againstPeer?.speedup, row).toBeGreaterThan(0);
    }
  });

  it("prints a line a row, and names what it compared", () => {
    for (const { problem } of report.rows)
      expect(run.stdout).toMatch(new RegExp(`^smoke ${problem.name} +\\d`, "m"));
    expect(run.stdout).toContain(report.start.adapter);
    expect(run.stdout).toMatch(/^ours \d[^,]*, onnxruntime-web \d[^,]*, jax-js \d/m);
    expect(run.stdout).toMatch(/^smoke causal 48 \/ full 48( +\d+\.\d\d){3}$/m);
    expect(run.stdout).toMatch(/^adapter's best plain f32 matmul: \d/m);
  });

  it("ends with 2 and the usage on a suite that does not exist", async () => {
    const { code, stderr } = await runTool(SCRIPT, "--suite", "none");
    expect(stderr).toContain("usage:");
    expect(code).toBe(2);
  });
});
