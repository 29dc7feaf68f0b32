import { describe, expect, test } from "vitest";
import { StopText } from "./stop-text.js";

const shown = (stops: string[], pieces: string[]) => {
  const text = new StopText(stops);
  const parts = pieces.map((piece) => text.push(piece));
  return { parts, rest: text.end(), stopped: text.stopped };
};

describe("stop texts", () => {
  test("without any, everything is shown at once", () => {
    expect(shown([], ["a", "bc"])).toEqual({ parts: ["a", "bc"], rest: "", stopped: false });
  });

  test("are found across pieces, and never shown", () => {
    expect(shown(["END"], ["ab E", "N", "D cd"])).toEqual({
      parts: ["ab ", "", ""],
      rest: "",
      stopped: true,
    });
  });

  test("the first in the text counts", () => {
    expect(shown(["yz", "xy"], ["wxyz"])).toEqual({ parts: ["w"], rest: "", stopped: true });
  });

  test("what only looked like one is shown later", () => {
    expect(shown(["\n\n"], ["a\n", "b\n"])).toEqual({ parts: ["a", "\nb"], rest: "\n", stopped: false });
  });

  test("nothing comes after one", () => {
    expect(shown(["."], ["a.b", "c"])).toEqual({ parts: ["a", ""], rest: "", stopped: true });
  });

  test("an empty one is none", () => {
    expect(shown([""], ["a"])).toEqual({ parts: ["a"], rest: "", stopped: false });
  });
});
