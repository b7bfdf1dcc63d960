import type { ModelPlan } from '@fewbit/models';
import type { Costs } from './costs.js';
import type { Rates } from './rates.js';

/** The time that a run will take on a backend, by phase of the report, and the rates that it comes from. */
export interface TimePlan {
  readonly seconds: number;
  readonly phases: { readonly load: number; readonly calibrate: number; readonly solve: number; readonly verify: number };
  readonly backend: { readonly id: string; readonly threads: number };
  readonly rates: Rates;
}

/** The sum of all steps, of sequences of so many tokens. */
export function planTime(plan: ModelPlan, costs: Costs, lengths: readonly number[]): Pick<TimePlan, 'seconds' | 'phases'> {
  let calibrate = 0;
  let solve = costs.rounding;
  for (const block of plan.blocks) {
    for (let index = 0; index <= block.sites.length; index++) {
      for (const tokens of sequencesOf(plan, block.index, index, lengths)) calibrate += costs.stage(block, index, tokens);
    }
    for (const site of block.sites) for (const linear of site.linears) solve += costs.layer(site, linear);
  }
  const phases = { load: costs.loading, calibrate, solve, verify: costs.logits + costs.reading };
  return { seconds: phases.load + phases.calibrate + phases.solve + phases.verify, phases };
}

/** All but the first stop before the model's last stage: nobody asks for their outputs. */
function sequencesOf({ blocks }: ModelPlan, block: number, stage: number, lengths: readonly number[]): readonly number[] {
  const isLast = block === blocks.length - 1 && stage === blocks[block]!.sites.length;
  return isLast ? lengths.slice(0, 1) : lengths;
}
