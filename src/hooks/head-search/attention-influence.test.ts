import { describe, expect, it } from "vitest";
import { golden } from "../reference/golden-case.js";
import {
  type AttentionInfluenceState,
  attentionInfluence,
  influentialTexts,
  relativeLoss,
} from "./attention-influence.js";

const { tensor } = golden("attention_influence");
const base = tensor("input.loss_base");
const masked = tensor("input.loss_reference");

describe("attentionInfluence", () => {
  const loss = async (text: number, isMasked: boolean) => (isMasked ? masked : base)[text]!;

  it("is the published score", async () => {
    expect(await attentionInfluence({ texts: 3, loss })).toEqual(tensor("expect.influence"));
  });

  it("resumes between the two losses of a text", async () => {
    let state: AttentionInfluenceState | undefined;
    const whole = await attentionInfluence({
      texts: 3,
      loss,
      onProgress: ({ done, snapshot }) => {
        if (done === 3) state = JSON.parse(JSON.stringify(snapshot())) as AttentionInfluenceState;
      },
    });
    const asked: [number, boolean][] = [];
    const resumed = await attentionInfluence({
      texts: 3,
      resume: state,
      loss: (text, isMasked) => {
        asked.push([text, isMasked]);
        return loss(text, isMasked);
      },
    });
    expect(resumed).toEqual(whole);
    expect(asked[0]).toEqual([1, true]);
    expect(asked).toHaveLength(3);
  });

  it("refuses a loss that cannot be divided by", () => {
    expect(() => relativeLoss(0, 1)).toThrow(expect.objectContaining({ code: "shape" }));
  });
});

describe("influentialTexts", () => {
  it("takes a share of each domain, not of all", () => {
    const scores = [0.1, 5, 0.3, 6, 0.2, 7];
    const domains = ["web", "code", "web", "code", "web", "code"];
    expect(influentialTexts(scores, { domains, share: 0.3 })).toEqual([2, 5]);
    expect(influentialTexts(scores, { share: 0.5 })).toEqual([5, 3, 1]);
  });

  it("refuses a domain for each text but one", () => {
    expect(() => influentialTexts([1, 2], { domains: ["web"] })).toThrow(/2 names/);
  });
});
