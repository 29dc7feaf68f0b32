import { expect, test } from "vitest";
import { testContext } from "../../test/support/gpu.js";
import { someInBrowser } from "../../test/support/some-in-browser.js";
import { SALE_CASES } from "./cases.js";
import { checkCase } from "./check-case.js";

test.each(someInBrowser(SALE_CASES))("SALE agrees with the float64 reference: $name", async (problem) => {
  const { error, tolerance, open, candidates } = await checkCase(await testContext(), problem);
  expect(error).toBeLessThanOrEqual(tolerance);
  // Rounding decides next to nothing.
  expect(open).toBeLessThanOrEqual(0.01 * candidates);
});
