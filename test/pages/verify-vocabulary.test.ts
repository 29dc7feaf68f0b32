import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { randomSource } from "../support/random.js";
import { verifyFolder } from "../support/run-verify.js";
import { type Vocabulary, vocabularyCase } from "../support/softmax-vocabulary.js";

const CASES: Readonly<Record<string, Vocabulary>> = {
  plain: {},
  f16: { dtype: "F16", params: { causal: true } },
  f64_expectation: { expectation: "_f64", params: { scale: 0.2 } },
  "64_expectation": { expectation: "64" },
  offset: { params: { causal: true, off: 3 } },
  offset_before_keys: { params: { causal: true, off: -4 } },
  window_left: { params: { wl: 3 } },
  window_right: { params: { wr: 0, off: 2 } },
  window_both_causal: { params: { wl: 2, wr: 1, causal: true } },
  softcap: { params: { softcap: 1.5 } },
  slopes: { slopes: true },
  slopes_offset: { slopes: true, params: { off: 40 } },
  bias_full: { bias: "full" },
  bias_heads: { bias: "heads" },
  bias_rows: { bias: "rows" },
  bias_keys: { bias: "keys" },
  bias_batches: { bias: "batches" },
  mask_bool: { mask: "BOOL" },
  mask_u8_sinks: { mask: "U8", sinks: true },
  sinks_before_keys: { sinks: true, params: { causal: true, off: -4 } },
  all: {
    params: { causal: true, off: 9, wl: 8, wr: 4, scale: 0.4, softcap: 3 },
    dtype: "F16",
    bias: "heads",
    mask: "U8",
    slopes: true,
    sinks: true,
    expectation: "_f64",
  },
  large_logits: { params: { scale: 60 } },
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "verify-"));
  const random = randomSource(7);
  for (const [name, words] of Object.entries(CASES)) {
    writeFileSync(join(folder, `${name}.safetensors`), vocabularyCase(name, words, random));
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

it("verify understands every word of softmax case files, alone and together", async () => {
  const { cases, stdout } = await verifyFolder(folder);
  expect(cases.length).toBe(Object.keys(CASES).length);
  expect(
    cases.filter(({ status }) => status !== "passed"),
    stdout,
  ).toEqual([]);
});
