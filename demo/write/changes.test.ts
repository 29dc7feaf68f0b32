import { describe, expect, it } from "vitest";
import { callOfChange } from "./changes.js";

describe("a change on the page", () => {
  const another = { isOtherModel: true };
  const same = { isOtherModel: false };

  it("is looked at once there is a text", () => {
    expect(callOfChange({ stage: undefined, ...same, isShown: false })).toBe("nothing");
    expect(callOfChange({ stage: undefined, ...same, isShown: true })).toBe("look");
  });

  it("of the model begins anew what another was to do, before anything is shown as well", () => {
    for (const isShown of [false, true]) {
      expect(callOfChange({ stage: "loading", ...another, isShown })).toBe("again");
      expect(callOfChange({ stage: "writing", ...another, isShown })).toBe("again");
    }
  });

  it("of all else is read after loading, and waits while text is written", () => {
    expect(callOfChange({ stage: "loading", ...same, isShown: true })).toBe("nothing");
    expect(callOfChange({ stage: "writing", ...same, isShown: true })).toBe("nothing");
  });

  it("during a look, the one behind written text too, is looked at", () => {
    expect(callOfChange({ stage: "looking", ...same, isShown: false })).toBe("look");
    expect(callOfChange({ stage: "looking", ...another, isShown: true })).toBe("look");
  });
});
