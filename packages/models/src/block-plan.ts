import type { BlockPlan, LinearPlan, Scaling, Site } from './types.js';

/** A block with the facts that follow from its parts: its sites, and the pairs that may be rescaled. */
export function blockPlan(parts: Omit<BlockPlan, 'sites' | 'scalings'>): BlockPlan {
  return { ...parts, sites: sites(parts), scalings: scalings(parts) };
}

type Parts = Pick<BlockPlan, 'projections' | 'output' | 'mlp' | 'attention' | 'attentionNorm' | 'mlpNorm'>;

function sites({ projections, output, mlp }: Parts): Site[] {
  const inputs = projections.kind === 'fused' ? [projections.all] : [projections.query, projections.key, projections.value];
  return [
    { id: 'attention.input', linears: inputs },
    { id: 'attention.output', linears: [output] },
    { id: 'mlp.input', linears: mlp.kind === 'gated' ? [mlp.gate, mlp.up] : [mlp.up] },
    { id: 'mlp.down', linears: [mlp.down] },
  ];
}

/**
 * A norm's gain may always be moved into the linears it feeds. Values reach the output projection one to one only when
 * every query head has its own value head, and as a matrix of their own; up reaches down only where it multiplies the
 * activation instead of passing through it.
 */
function scalings(parts: Parts): Scaling[] {
  const { projections, output, mlp, attention, attentionNorm, mlpNorm } = parts;
  const [attentionInput, , mlpInput] = sites(parts);
  const found: Scaling[] = [scaling(attentionNorm.gain, attentionInput!.linears, attentionNorm.gainOffset)];
  if (projections.kind === 'separate' && attention.heads === attention.keyValueHeads) {
    found.push(scaling(weight(projections.value), [output]));
  }
  found.push(scaling(mlpNorm.gain, mlpInput!.linears, mlpNorm.gainOffset));
  if (mlp.kind === 'gated') found.push(scaling(weight(mlp.up), [mlp.down]));
  return found;
}

const weight = ({ module }: LinearPlan) => `${module}.weight`;

const scaling = (producer: string, consumers: readonly LinearPlan[], gainOffset = 0): Scaling => ({
  producer,
  consumers: consumers.map(weight),
  ...(gainOffset !== 0 && { gainOffset }),
});
