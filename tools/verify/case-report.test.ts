import { expect, it } from "vitest";
import { type CaseReport, formatReport, isWithin } from "./case-report.js";

const report: CaseReport = { file: "f", mechanism: "softmax", case: "c", status: "passed", outputs: [] };
const output = { name: "out", maxAbsolute: 2e-6, maxRelative: 1e-6, tolerance: 1e-5 };

it("shows the output that is worst against its tolerance", () => {
  const outputs = [output, { ...output, name: "lse", maxRelative: 9e-6 }];
  expect(formatReport({ ...report, outputs })).toBe(
    "passed softmax c: lse max abs 2.00e-6 max rel 9.00e-6 tolerance 1e-5",
  );
});

it("shows a NaN as worse than any number", () => {
  const outputs = [
    { ...output, maxRelative: 1 },
    { ...output, name: "lse", maxAbsolute: null, maxRelative: null },
  ];
  expect(formatReport({ ...report, status: "failed", outputs })).toContain("lse max abs not finite");
  expect(outputs.map(isWithin)).toEqual([false, false]);
});

it("keeps a message of several lines on one", () => {
  expect(formatReport({ ...report, status: "skipped", message: "not\n  built" })).toBe(
    "skipped softmax c: not built",
  );
});
