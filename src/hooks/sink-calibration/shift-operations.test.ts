import { describe, expect, it } from "vitest";
import { attentionCalibration, visualRedistribution } from "./shift-operations.js";

const sinks = { keys: [0] };

describe("options of shifts", () => {
  it.each<[string, object]>([
    ["unsupported", { theta: 0.1, alpha: 5 }],
    ["unsupported", { update: "always" }],
    ["unsupported", { gamma: 1 }],
    ["shape", { beta: 1.2 }],
    ["shape", { theta: -1 }],
  ])("are refused for calibration: %s %j", (code, options) => {
    expect(() => attentionCalibration(options)).toThrow(expect.objectContaining({ code }));
  });

  it.each<[string, object]>([
    ["shape", { sinks }],
    ["shape", { sinks, image: [0.5, 3] }],
    ["shape", { sinks, image: [3, 3] }],
    ["shape", { sinks, image: [0, 3], p: 2 }],
    ["unsupported", { sinks, image: [0, 3], variant: "other" }],
  ])("are refused for redistribution: %s %j", (code, options) => {
    expect(() => visualRedistribution(options as never)).toThrow(expect.objectContaining({ code }));
  });

  it("become operations", () => {
    expect(attentionCalibration({ alpha: 5, update: "running" })).toMatchObject({
      sinks: { received: "perKeys", alpha: 5, update: "running" },
      keep: 0.4,
    });
    expect(visualRedistribution({ image: [1, 4], sinks, p: 0.3, variant: "authors" })).toMatchObject({
      keep: 0.3,
      rows: { from: 4 },
      gate: { portion: [{ range: [1, 4] }, 0.5] },
    });
  });
});
