import { FewbitError } from '@fewbit/core';
import { type ActivationSpec, activationName, type FormatSpec, type Layout, refusalOfOutliers } from '@fewbit/formats';
import type { ModelPlan } from '@fewbit/models';
import type { QuantizeOptions } from './types.js';
import { weightFormats, weightSites } from './weight-formats.js';

/** Throws what can be known of method, formats and layout before any work. */
export function refuseEarly(
  plan: ModelPlan,
  { method, calibration, layout, format, activation, keyValues }: Omit<QuantizeOptions, 'backend'>,
): void {
  if (method.transforms.length > 0) {
    throw new FewbitError('unsupported', `Method ${method.id} has transforms, which this pipeline does not apply.`);
  }
  if (method.solver.needs.length > 0 && !calibration) {
    throw new FewbitError('usage', `Method ${method.id} measures the layers' inputs: give calibration text (--calibration FILE).`);
  }
  const formats = weightFormats(weightSites(plan), { layout, format });
  const why = method.solver.outliers ? refusalOfOutliers(layout) : undefined;
  if (why) throw new FewbitError('unsupported', `Layout ${layout.id} cannot hold what method ${method.id} keeps beside the codes: ${why}`);
  if (activation)
    for (const chosen of formats.values())
      if (typeof chosen !== 'string') refuseActivation(activation, layout, chosen, calibration !== undefined);
  if (keyValues) {
    const why = layout.keyValues ? layout.keyValues.rejects(keyValues) : 'its files say nothing of them; use compressed-tensors.';
    const how = activationName(keyValues);
    if (why) throw new FewbitError('unsupported', `Layout ${layout.id} cannot round keys and values as ${how}: ${why}`);
    if (keyValues.scaling === 'static') refuseUncalibrated('keys and values', calibration !== undefined);
  }
}

function refuseActivation(activation: ActivationSpec, layout: Layout, format: FormatSpec, calibrated: boolean): void {
  const why = layout.rejectsActivation
    ? layout.rejectsActivation(activation, format)
    : 'its files say nothing of inputs; use compressed-tensors.';
  if (why) throw new FewbitError('unsupported', `Layout ${layout.id} cannot round inputs as ${activationName(activation)}: ${why}`);
  if (activation.scaling !== 'dynamic') refuseUncalibrated('activations', calibrated);
}

function refuseUncalibrated(what: string, calibrated: boolean): void {
  if (!calibrated) throw new FewbitError('usage', `Static scales of ${what} are measured: give calibration text (--calibration FILE).`);
}
