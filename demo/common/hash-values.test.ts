import { afterEach, describe, expect, it, vi } from "vitest";
import { fromHash, keepInAddress, toHash } from "./hash-values.js";
import { changeableHeads, formatHeads, headsValue, readHeads } from "./heads.js";

const INITIAL = { model: "lm-softmax", prompt: "It was", mask: "" };

afterEach(() => vi.unstubAllGlobals());

describe("links", () => {
  it("carry what differs from a fresh page, and bring it back", () => {
    const values = { ...INITIAL, prompt: "A & B\n#", mask: "on" };
    const hash = toHash(values, INITIAL);
    expect(hash).not.toContain("model");
    expect(fromHash(hash, INITIAL)).toEqual(values);
    expect(toHash(INITIAL, INITIAL)).toBe("");
  });

  it("can say that a field is empty, and nothing that the page does not have", () => {
    expect(fromHash("#prompt=&other=1", INITIAL)).toEqual({ ...INITIAL, prompt: "" });
  });
});

describe("the address", () => {
  it("keeps what is no link's: the page, and what is asked of its server", () => {
    const replaceState = vi.fn();
    vi.stubGlobal("history", { replaceState });
    vi.stubGlobal("location", { pathname: "/write/", search: "?from=mail", hash: "#mask=on" });
    keepInAddress(INITIAL, INITIAL);
    expect(replaceState).toHaveBeenLastCalledWith(null, "", "/write/?from=mail");
    keepInAddress({ ...INITIAL, mask: "off" }, INITIAL);
    expect(replaceState).toHaveBeenLastCalledWith(null, "", "#mask=off");
  });
});

describe("heads", () => {
  const layers = [
    { mechanism: "softmax", heads: 2 },
    { mechanism: "lightning", heads: 2 },
    { mechanism: "moh", heads: 1 },
  ];

  it("can be changed where there is softmax", () => {
    expect(formatHeads(changeableHeads(layers))).toBe("0.0 0.1 2.0");
  });

  it("of a link are read in order, each once, and only those that the model has", () => {
    expect(readHeads("2.0 0.1, 0.1 0.7 1.0 x", layers)).toEqual([
      { layer: 0, head: 1 },
      { layer: 2, head: 0 },
    ]);
    expect(readHeads("", layers)).toEqual([]);
  });

  it("are left out of a link where a page begins with them, and can be none", () => {
    const [first, second] = changeableHeads(layers);
    expect(headsValue([first!], [first!])).toBe("");
    expect(headsValue([second!], [first!])).toBe("0.1");
    expect(headsValue([], [first!])).toBe("none");
    expect(readHeads("none", layers)).toEqual([]);
  });
});
