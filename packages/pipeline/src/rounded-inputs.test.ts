import { join } from 'node:path';
import type { LayerContext, Method } from '@fewbit/algorithm';
import { crossGram, gram } from '@fewbit/calibration';
import { type ActivationSpec, fewbit, type IntSpec } from '@fewbit/formats';
import { referenceBackend } from '@fewbit/kernels';
import { rtn } from '@fewbit/rtn';
import { goldenModel, temporaryFolder } from '@fewbit/testkit';
import { expect, it } from 'vitest';
import { quantize } from './index.js';

const root = temporaryFolder();
const windows = Array.from({ length: 4 }, (_, w) => Uint32Array.from({ length: 20 }, (_, i) => (w * 31 + i * i * 7 + 3) % 64));
const format: IntSpec = { kind: 'int', bits: 8, scheme: 'asymmetric', granularity: { kind: 'channel' }, scaleType: 'F32' };

/** Rounds to nearest, and keeps ‖C − H‖ ÷ ‖H‖ of each layer: how far the two streams are apart in what GPTQ's target follows. */
function listening(drifts: Map<string, number>): Method {
  const { solver } = rtn();
  const needs = [gram(), crossGram()];
  function solve(context: LayerContext) {
    const [h, c] = [context.input.get(gram()), context.input.get(crossGram())];
    const apart = h.reduce((sum, value, i) => sum + (c[i]! - value) ** 2, 0);
    drifts.set(context.name, Math.sqrt(apart / h.reduce((sum, value) => sum + value ** 2, 0)));
    return solver.solve(context);
  }
  return { ...rtn(), solver: { ...solver, needs, solve } };
}

it.each(['dynamic', 'static'] as const)(
  'the target does not follow the noise of %s inputs, and the result reads back with them',
  async (scaling) => {
    const granularity = scaling === 'dynamic' ? ({ kind: 'channel' } as const) : ({ kind: 'tensor' } as const);
    const activation: ActivationSpec = { format: { ...format, bits: 4, granularity }, scaling };
    const drifts = new Map<string, number>();
    const report = await quantize({
      ...{ model: goldenModel('llama').folder, output: join(root, scaling), method: listening(drifts), format, layout: fewbit, activation },
      ...{ backend: referenceBackend(), calibration: { source: 'numbers', fingerprint: 'x', windows } },
    });
    expect(report.readBack).toBeLessThan(1e-6);
    expect(drifts.size).toBe(report.layers.length);
    // by weights of 8 bits alone it is a hundredth, with what inputs of 4 bits add more than a twentieth
    for (const [name, drift] of drifts) expect(drift, name).toBeLessThan(0.03);
  },
);
