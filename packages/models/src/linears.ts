import type { BlockPlan, LinearPlan, ModelPlan } from './types.js';

/** The linear layers of all blocks, in the order in which a forward pass meets them; the head is not among them. */
export function linears(plan: ModelPlan): LinearPlan[] {
  return plan.blocks.flatMap(blockLinears);
}

/** The linear layers of one block, in the order in which a forward pass meets them. */
export function blockLinears(block: BlockPlan): LinearPlan[] {
  return block.sites.flatMap((site) => site.linears);
}

/** The path of a block's attention layer (`model.layers.0.self_attn`), of which its output projection is a part. */
export function attentionModule({ output: { module } }: Pick<BlockPlan, 'output'>): string {
  return module.slice(0, module.lastIndexOf('.'));
}
