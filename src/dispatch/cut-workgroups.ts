/** A dispatch's share of workgroups, with what they may take at most and what they do. */
export interface WorkgroupRun {
  readonly first: number;
  readonly count: number;
  /** Operations at most, hidden pairs of tiles that are visited included. */
  readonly work: number;
  /** Operations on visible pairs. */
  readonly flops: number;
}

/**
 * Cuts `repeats` rounds of workgroups into runs whose work stays within `budget`, of one workgroup at least.
 *
 * @param round work and flops of the workgroups of one round, in the order of their index
 */
export function cutWorkgroups(
  round: readonly { readonly work: number; readonly flops: number }[],
  repeats: number,
  budget: number,
): WorkgroupRun[] {
  const sum = (part: "work" | "flops") => round.reduce((total, group) => total + group[part], 0);
  const whole = { work: sum("work"), flops: sum("flops") };
  if (whole.work * repeats <= budget) {
    const [work, flops] = [whole.work * repeats, whole.flops * repeats];
    return [{ first: 0, count: round.length * repeats, work, flops }];
  }
  const runs: WorkgroupRun[] = [];
  let [first, sumWork, sumFlops] = [0, 0, 0];
  const groups = round.length * repeats;
  for (let index = 0; index <= groups; index++) {
    const group = round[index % round.length]!;
    if (index > first && (index === groups || sumWork + group.work > budget)) {
      runs.push({ first, count: index - first, work: sumWork, flops: sumFlops });
      [first, sumWork, sumFlops] = [index, 0, 0];
    }
    sumWork += group.work;
    sumFlops += group.flops;
  }
  return runs;
}
