import { describe, expect, test } from "vitest";
import { readArguments } from "./arguments.js";

describe("arguments of npm run generate", () => {
  test("have defaults", () => {
    expect(readArguments(["--model", "lm-softmax", "It was"])).toEqual({
      ...{ model: "lm-softmax", prompt: "It was", dtype: "stored", maxTokens: 100 },
      sampling: { temperature: 0.8 },
    });
  });

  test("name options of sampling", () => {
    const args = ["--model", "lm-softmax", "--top-p", "0.9", "--seed", "3", "--temperature", "0", "x"];
    expect(readArguments(args)).toMatchObject({ sampling: { temperature: 0, topP: 0.9, seed: 3 } });
  });

  test.each([
    [["--model", "lm-softmax"], /one prompt/],
    [["--model", "lm-softmax", "a", "b"], /one prompt/],
    [["--model", "image-softmax", "a"], /no "image-softmax"; there are .*lm-softmax/],
    [["a"], /--model: there are/],
    [["--model", "lm-softmax", "--seed", "x", "a"], /--seed: a number/],
    [["--model", "lm-softmax", "--dtype", "q2", "a"], /--dtype/],
    [["--modle", "lm-softmax", "a"], /modle/],
  ])("refuse %j", (args, message) => {
    expect(() => readArguments(args)).toThrow(message);
  });
});
