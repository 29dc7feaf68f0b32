import { expect, it } from "vitest";
import { runTool } from "../support/run-tool.js";

const TIMEOUT = 240_000;

it("measures a mechanism's rows, each output checked first", { timeout: TIMEOUT }, async () => {
  const args = ["--mechanism", "linear", "--filter", "not causal", "--no-peers"];
  const { code, stdout, stderr } = await runTool("bench/mechanisms/index.ts", ...args);
  expect(code, stderr).toBe(0);
  expect(stdout).toContain("linear: 1024 tokens, 8 heads, not causal");
  expect(stdout).toMatch(/linear, all to all .* \d+\.\d\dx/);
  expect(stdout).not.toMatch(/wrong|failed/);
});

it.each([
  [["--mechanism", "nothing"], /no "nothing"; there are agent, flow, interventions, /],
  [["--rounds", "1"], /at least 3/],
  [["--speed"], /--speed/],
])("refuses %s", { timeout: TIMEOUT }, async (args, message) => {
  const { code, stderr } = await runTool("bench/mechanisms/index.ts", ...args);
  expect(code).toBe(2);
  expect(stderr).toMatch(message);
});
