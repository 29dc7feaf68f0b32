/** The browser's half of `npm run verify`: Node calls `verifyCase` once per file. */
import { AttentionContext, AttentionError } from "webgpu-attention";
import { difference } from "../../test/support/compare.js";
import { CaseBuffers } from "./case-buffers.js";
import { type CaseReport, isWithin, type OutputReport } from "./case-report.js";
import type { ComparedOutput, Mechanism } from "./mechanism.js";
import { readCase, type VerifyCase } from "./verify-case.js";

declare global {
  interface Window {
    verifyCase: typeof verifyCase;
  }
}
window.verifyCase = verifyCase;

const MECHANISMS = import.meta.glob<Mechanism>("./mechanisms/*.ts", { import: "default" });

let shared: Promise<AttentionContext> | undefined;

/** Reads, runs and compares one case. Never rejects: whatever goes wrong is in the report. */
async function verifyCase(url: string): Promise<CaseReport> {
  const file = decodeURIComponent(url.split("/").at(-1)!);
  let testCase: VerifyCase;
  try {
    testCase = readCase(await download(url));
  } catch (error) {
    return { file, mechanism: "?", case: file, status: "failed", outputs: [], message: messageOf(error) };
  }
  const names = { file, mechanism: testCase.mechanism, case: testCase.name };
  const load = MECHANISMS[`./mechanisms/${testCase.mechanism}.ts`];
  if (!load) {
    const message = `mechanism "${testCase.mechanism}" is not built`;
    return { ...names, status: "skipped", outputs: [], message };
  }
  try {
    const outputs = (await run(await load(), testCase)).map(compare);
    return { ...names, status: outputs.every(isWithin) ? "passed" : "failed", outputs };
  } catch (error) {
    const skipped = error instanceof AttentionError && error.code === "unsupported";
    return { ...names, status: skipped ? "skipped" : "failed", outputs: [], message: messageOf(error) };
  }
}

async function download(url: string): Promise<Uint8Array> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`could not be read: ${await response.text()}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function run(mechanism: Mechanism, testCase: VerifyCase): Promise<readonly ComparedOutput[]> {
  shared ??= createContext();
  const ctx = await shared;
  const buffers = new CaseBuffers(ctx.device);
  ctx.fillScratch(Number.NaN);
  ctx.device.pushErrorScope("validation");
  try {
    const outputs = await mechanism(ctx, testCase, buffers);
    const invalid = await ctx.device.popErrorScope();
    if (invalid) throw new Error(`WebGPU validation error: ${invalid.message}`);
    return outputs;
  } catch (error) {
    // Whatever state the device is in, possibly lost: the next case gets a fresh one.
    shared = undefined;
    ctx.destroy();
    ctx.device.destroy();
    throw error;
  } finally {
    buffers.destroy();
  }
}

async function createContext(): Promise<AttentionContext> {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) throw new Error("this browser has no WebGPU adapter");
  return AttentionContext.create(await adapter.requestDevice(AttentionContext.requirements(adapter)));
}

function compare({ name, actual, expected, tolerance }: ComparedOutput): OutputReport {
  const { maxAbsolute, maxRelative } = difference(actual, expected);
  const finite = (value: number) => (Number.isFinite(value) ? value : null);
  return { name, maxAbsolute: finite(maxAbsolute), maxRelative: finite(maxRelative), tolerance };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
