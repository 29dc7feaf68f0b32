import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CaseReport } from "../../tools/verify/case-report.js";
import { goldenFiles } from "../support/golden.js";
import { runVerify, verifyFolder } from "../support/run-verify.js";
import type { SafetensorsTensor } from "../support/safetensors.js";
import { type WritableTensor, writeSafetensors } from "../support/safetensors-writer.js";

const plain = goldenFiles("softmax").find(({ file }) => file === "softmax_causal_n1.safetensors")!;

/** The smallest golden case, with changes. */
function variation(
  metadata: Record<string, string>,
  tensors: Record<string, WritableTensor | undefined> = {},
): Uint8Array {
  const all = { ...Object.fromEntries(plain.tensors), ...tensors };
  const kept = Object.entries(all).filter(
    (entry): entry is [string, SafetensorsTensor] => entry[1] !== undefined,
  );
  return writeSafetensors({ ...plain.metadata, ...metadata }, Object.fromEntries(kept));
}

const expected = plain.tensors.get("out")!;
const wrong = { ...expected, data: Float32Array.from(expected.data as Float32Array, (value) => value + 1) };
const precise = { ...expected, dtype: "F64", data: Float64Array.from(expected.data as Float32Array) };
const notANumber = { ...expected, data: new Float32Array(expected.data.length).fill(Number.NaN) };
const { mechanism: _mechanism, ...withoutMechanism } = plain.metadata;
const bytes = variation({});

const CASES: Readonly<
  Record<string, readonly [content: Uint8Array, status: CaseReport["status"], message?: RegExp]>
> = {
  "01_damaged": [bytes.subarray(0, bytes.length - 4), "failed", /data_offsets/],
  "02_empty": [new Uint8Array(), "failed", /at least 8 bytes/],
  "03_no_mechanism": [
    writeSafetensors(withoutMechanism, Object.fromEntries(plain.tensors)),
    "failed",
    /__metadata__ has no mechanism/,
  ],
  "04_bad_params": [variation({ params: "{" }), "failed", /params is not JSON/],
  "05_unknown_mechanism": [variation({ mechanism: "hyena" }), "skipped", /"hyena" is not built/],
  "06_shapes_differ": [
    variation({}, { q: { dtype: "F32", shape: [2, 2, 1, 300], data: new Float32Array(1200) } }),
    "failed",
  ],
  "07_no_q": [variation({}, { q: undefined }), "failed", /tensor "q" is missing/],
  "08_wrong_expectation": [variation({}, { out: wrong }), "failed"],
  "09_nan_expectation": [variation({}, { out: notANumber }), "failed"],
  "10_float64_preferred": [variation({}, { out: wrong, out_f64: precise }), "passed"],
  "11_out64_preferred": [variation({}, { out: wrong, out64: precise }), "passed"],
  "12_no_lse": [variation({}, { lse: undefined }), "passed"],
  "13_extra_tensor": [
    variation({}, { extra: { dtype: "I8", shape: [1], data: new Int8Array(1) } }),
    "passed",
  ],
  "14_plain": [bytes, "passed"],
};

describe("npm run verify", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "verify-"));
    for (const [name, [content]] of Object.entries(CASES))
      writeFileSync(join(folder, `${name}.safetensors`), content);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("judges every case by itself, and counts", async () => {
    const { code, stdout, cases: reports } = await verifyFolder(folder);
    const found = reports.map(({ file, status }) => [file.replace(".safetensors", ""), status]);
    expect(found).toEqual(Object.entries(CASES).map(([name, [, status]]) => [name, status]));
    for (const [i, [, , message]] of Object.values(CASES).entries()) {
      if (message) expect(reports[i]!.message).toMatch(message);
    }
    expect(stdout.trim().split("\n").at(-1)).toBe("5 passed, 8 failed");
    expect(code).toBe(1);
  });

  it("ends with 0 when nothing failed", async () => {
    const { code, stdout } = await runVerify("--cases", folder, "--filter", "14_plain");
    expect(stdout).toMatch(/^passed softmax causal_n1: .* tolerance 1e-5$/m);
    expect(stdout.trim().split("\n").at(-1)).toBe("1 passed, 0 failed");
    expect(code).toBe(0);
  });

  it("ends with 2 and the usage on a missing folder", async () => {
    const { code, stderr } = await runVerify("--cases", join(folder, "none"));
    expect(stderr).toContain("usage:");
    expect(code).toBe(2);
  });
});
