import { expect, test } from "vitest";
import { testContext } from "../../test/support/gpu.js";
import { FLOW_CASES } from "./cases.js";
import { checkCase } from "./check-case.js";

test.each(FLOW_CASES)("flow attention agrees with the float64 reference: $name", async (problem) => {
  const { error, tolerance } = await checkCase(await testContext(), problem);
  expect(error).toBeLessThanOrEqual(tolerance);
});
