import { expect, test } from "vitest";
import { testContext } from "../../test/support/gpu.js";
import { someInBrowser } from "../../test/support/some-in-browser.js";
import { MIXTURE_CASES } from "./cases.js";
import { checkCase } from "./check-case.js";

test.each(someInBrowser(MIXTURE_CASES))(
  "mixture-of-head attention agrees with the float64 reference: $name",
  async (problem) => {
    const { out, gates, wrongHeads, loss, tolerance } = await checkCase(await testContext(), problem);
    expect(wrongHeads).toBe(0);
    for (const error of [out, gates, loss]) expect(error).toBeLessThanOrEqual(tolerance);
  },
);
