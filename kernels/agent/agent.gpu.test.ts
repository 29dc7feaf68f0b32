import { describe, expect, test } from "vitest";
import { testContext } from "../../test/support/gpu.js";
import { someInBrowser } from "../../test/support/some-in-browser.js";
import { AGENT_CASES } from "./cases.js";
import { checkCase } from "./check-case.js";

describe("agent attention agrees with the float64 reference", () => {
  test.each(someInBrowser(AGENT_CASES))("$name", async (problem) => {
    const { error, tolerance } = await checkCase(await testContext(), problem);
    expect(error).toBeLessThanOrEqual(tolerance);
  });
});
