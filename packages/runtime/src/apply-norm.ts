import type { DeviceTensor, Ops } from '@fewbit/kernels';
import type { NormPlan } from '@fewbit/models';
import type { BlockWeights } from './types.js';

/** Normalises x [m, n], or each head of it where the gain is as long as one head. */
export function applyNorm(ops: Ops, norm: NormPlan, weights: BlockWeights, x: DeviceTensor): DeviceTensor {
  const gain = weights.get(norm.gain)!;
  return norm.kind === 'rms'
    ? ops.rmsNorm(x, gain, norm.epsilon, norm.gainOffset)
    : ops.layerNorm(x, gain, weights.get(norm.bias!)!, norm.epsilon);
}
