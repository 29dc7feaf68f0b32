import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const START = fileURLToPath(new URL("../../tools/start.ts", import.meta.url));
const TSX = createRequire(import.meta.url).resolve("tsx/cli");

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What `npm start -- ...args` runs. */
function start(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [TSX, START, ...args], (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "webgpu-attention-"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

describe("npm start -- --headless", () => {
  it("prints scores and passages, best first, and nothing else", async () => {
    const bread = "The baker kneaded the dough and baked bread in the oven.";
    const stars = "The telescope showed stars and planets in the night sky.";
    const text = await file("two.txt", `CHAPTER 1\n\n${bread}\n\nCHAPTER 2\n\n${stars}\n`);
    const { code, stdout, stderr } = await start("--headless", "the stars in the sky", "--text", text);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^0\.\d{4} {2}CHAPTER 2 The telescope .*\n-?0\.\d{4} {2}CHAPTER 1 The baker .*\n$/,
    );
  });

  it("prints at most as many as asked for", async () => {
    const { stdout } = await start("--headless", "the white whale", "--top", "2", "--limit", "20");
    expect(stdout.trimEnd().split("\n")).toHaveLength(2);
  });

  it.each([
    [["--headless", " "], 2, /query is empty/],
    [["--headless", "whale", "--top", "none"], 2, /--top is "none"/],
    [["--fast"], 2, /--fast/],
    [["--headless", "whale", "--text", "no-such-file.txt"], 1, /no-such-file\.txt cannot be read/],
  ])("fails on %j", async (args, expected, message) => {
    const { code, stdout, stderr } = await start(...args);
    expect({ code, stdout }).toEqual({ code: expected, stdout: "" });
    expect(stderr).toMatch(message);
  });

  it("fails on a file without text", async () => {
    const { code, stdout, stderr } = await start(
      "--headless",
      "whale",
      "--text",
      await file("empty.txt", "\n"),
    );
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/no text in it/);
  });
});
