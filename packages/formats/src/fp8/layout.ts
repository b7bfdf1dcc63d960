/**
 * `quant_method: fp8`, the block form of DeepSeek that transformers and vLLM read, N rows (outputs), K columns (inputs):
 *
 *   weight            F8_E4M3 [N, K]
 *   weight_scale_inv  F32 [⌈N/128⌉, ⌈K/128⌉]  a multiplier, despite its name
 */
import { FewbitError, type Tensor } from '@fewbit/core';
import { activationName } from '../activation-name.js';
import { copied } from '../copied.js';
import { createFormat } from '../create-format.js';
import { expectTensor } from '../expect-tensor.js';
import { checkFloatMatrix, packFloatScales, unpackFloatScales } from '../float-matrix.js';
import { formatName } from '../format-name.js';
import { codesAlone } from '../sparse-matrix.js';
import { tileGrid } from '../tile-grid.js';
import type { ActivationSpec, FloatSpec, FormatSpec, Layout } from '../types.js';
import { describeConfig, readConfig } from './config.js';

export const fp8: Layout = {
  id: 'fp8',
  scaleTypes: ['F32'],
  rejects,
  rejectsActivation(activation, spec) {
    if (!isHeld(spec)) return rejects(spec);
    if (JSON.stringify(activation) === JSON.stringify(inputsOf(spec))) return undefined;
    return `its readers round inputs as ${activationName(inputsOf(spec))}; leave activations out.`;
  },
  impliedActivation: (spec) => (isHeld(spec) ? inputsOf(spec) : undefined),
  pack(matrix) {
    codesAlone(fp8, matrix);
    const { spec, rows, cols } = matrix;
    if (!isHeld(spec)) throw new FewbitError('unsupported', rejects(spec)!);
    const { codes, params } = checkFloatMatrix({ ...matrix, spec });
    return new Map<string, Tensor>([
      ['weight', { dtype: 'F8_E4M3', shape: [rows, cols], data: codes.slice() }],
      ['weight_scale_inv', packFloatScales(params, spec, scaleShape(spec, rows, cols))],
    ]);
  },
  *unpack(tensors, spec, rows, cols) {
    if (!isHeld(spec)) throw new FewbitError('unsupported', rejects(spec)!);
    const { data } = expectTensor(tensors, 'weight', ['F8_E4M3'], [rows, cols]);
    const { params, stored } = yield* unpackFloatScales(tensors, 'weight_scale_inv', spec, scaleShape(spec, rows, cols));
    return { rows, cols, spec: stored, codes: yield* copied(data), params };
  },
  describe: describeConfig,
  recognise: (config) => readConfig(config, fp8, inputsOf),
};

type BlockSpec = FloatSpec & { readonly granularity: { readonly kind: 'block' } };

/** Inputs are rounded per token in groups as wide as a block. */
function inputsOf({ granularity }: BlockSpec): ActivationSpec {
  const format: FloatSpec = { kind: 'float', element: 'e4m3', granularity: { kind: 'group', size: granularity.cols }, scaleType: 'F32' };
  return { format, scaling: 'dynamic' };
}

function rejects(spec: FormatSpec): string | undefined {
  if (isHeld(spec)) return undefined;
  return `fp8 checkpoints hold E4M3 with F32 scales per block (--format fp8 --granularity block), not ${formatName(spec)}; compressed-tensors has the other FP8 formats.`;
}

function isHeld(spec: FormatSpec): spec is BlockSpec {
  return spec.kind === 'float' && spec.element === 'e4m3' && spec.granularity.kind === 'block' && spec.scaleType === 'F32';
}

function scaleShape(spec: BlockSpec, rows: number, cols: number): number[] {
  const { down, across } = tileGrid(createFormat(spec), rows, cols);
  return [down, across];
}
