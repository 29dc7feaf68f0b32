import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";

const GENERATE = fileURLToPath(new URL("../../tools/generate/index.ts", import.meta.url));
const TSX = createRequire(import.meta.url).resolve("tsx/cli");

interface Outcome {
  readonly code: number | null;
  /** Pieces of stdout, as they came. */
  readonly pieces: readonly string[];
  readonly stderr: string;
}

/** What `npm run generate -- ...args` runs. */
function generate(...args: string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [TSX, GENERATE, ...args]);
    // It stays when a test gives up, and its browser with it.
    onTestFinished(() => void child.kill());
    const pieces: string[] = [];
    let stderr = "";
    child.stdout.on("data", (piece) => pieces.push(String(piece)));
    child.stderr.on("data", (piece) => {
      stderr += piece;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, pieces, stderr }));
  });
}

describe("npm run generate", () => {
  it("streams text of a shipped model, with tokens a second", async () => {
    const prompt = "It was a fine morning, and";
    const args = ["--model", "lm-softmax", "--max-tokens", "4", "--temperature", "0"];
    const { code, pieces, stderr } = await generate(...args, prompt);
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(
        /^lm-softmax on .+, loaded in \d+ ms\n4 tokens, [\d.]+ tokens a second after the first\n$/,
      ),
    });
    // The prompt is there before the model has been compiled, and text comes behind it.
    expect(pieces[0]).toBe(prompt);
    expect(pieces.length).toBeGreaterThan(2);
    expect(pieces.slice(1).join("")).toMatch(/^ ?\w[\s\S]*\n$/);
    // A server of its own compiles every kernel first, on cores that may be busy.
  }, 900_000);

  it("says how it is used", async () => {
    const { code, pieces, stderr } = await generate("--model", "lm-none", "x");
    expect({ code, pieces }).toEqual({ code: 2, pieces: [] });
    expect(stderr).toMatch(/no "lm-none"; there are .*lm-softmax/);
  });
});
