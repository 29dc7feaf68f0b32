/** How far a task is: what it takes from the form is read when the model is loaded, and what is written is left to its end. */
export type Stage = "loading" | "writing" | "looking";

interface Moment {
  /** Of the task that is under way. */
  readonly stage: Stage | undefined;
  /** Whether another model is chosen than that task's. */
  readonly isOtherModel: boolean;
  /** Whether a text is shown. */
  readonly isShown: boolean;
}

/** What a change on the page calls for: the task that is under way once more, a look, or nothing. */
export function callOfChange({ stage, isOtherModel, isShown }: Moment): "again" | "look" | "nothing" {
  if (stage === "loading" || stage === "writing") return isOtherModel ? "again" : "nothing";
  return stage === "looking" || isShown ? "look" : "nothing";
}
