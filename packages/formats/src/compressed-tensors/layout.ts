/** compressed-tensors, the format of llm-compressor, vLLM and transformers. */
import { FewbitError } from '@fewbit/core';
import { formatName } from '../format-name.js';
import { isSymmetric } from '../int/int-format.js';
import { keyValueTensors } from '../key-value-tensors.js';
import { codesAlone } from '../sparse-matrix.js';
import type { FormatSpec, Layout } from '../types.js';
import { packActivation, rejectsActivation, rejectsKeyValues, unpackActivation } from './activation.js';
import { containerOf, packInto, unpackFrom } from './containers.js';
import { describeConfig } from './describe.js';
import { readConfig } from './recognise.js';

/** Every symmetric scheme is exact: readers multiply code − 2^(bits − 1) by the scale, whatever its convention or sign. */
export const compressedTensors: Layout = {
  id: 'compressed-tensors',
  scaleTensor: 'weight_scale',
  sharedTensors: ['weight_global_scale', 'input_global_scale'],
  rejects,
  caution(spec, _rows, cols) {
    if (spec.kind !== 'int' || spec.granularity.kind !== 'group' || cols % spec.granularity.size === 0) return undefined;
    return `vLLM and the compressed-tensors package read no ragged group: ${cols} input columns are not a multiple of ${spec.granularity.size}. Use a group size that divides them, or per channel.`;
  },
  rejectsActivation,
  keyValues: { rejects: rejectsKeyValues, ...keyValueTensors(packActivation, unpackActivation) },
  pack(matrix, activation) {
    codesAlone(compressedTensors, matrix);
    const container = containerOf(matrix.spec, activation?.spec);
    if (!container) throw new FewbitError('unsupported', rejects(matrix.spec) ?? `compressed-tensors has no ${formatName(matrix.spec)}.`);
    return new Map([...packInto(container, matrix), ...packActivation(activation)]);
  },
  unpack: unpackFrom,
  unpackActivation,
  describe: describeConfig,
  recognise: (config) => readConfig(config, compressedTensors),
};

function rejects(spec: FormatSpec): string | undefined {
  if (containerOf(spec)) return undefined;
  if (spec.kind !== 'int') {
    return `compressed-tensors has no ${formatName(spec)}: its floats are E4M3 with float scales, MXFP4, MXFP8 (groups of 32) and NVFP4 (groups of 16); --layout fewbit holds fitted codebooks and two-level scales.`;
  }
  if (spec.scheme === 'symmetric-absmax') return 'compressed-tensors stores scales, not absmaxes; take the scheme symmetric-restricted.';
  const { kind } = spec.granularity;
  if (kind === 'block' || kind === 'flat') {
    const what = kind === 'block' ? '2-D blocks' : 'runs across rows';
    return `compressed-tensors has no integer format with ${what} that engines read; use group, channel or tensor granularity.`;
  }
  if (spec.bits !== 8 || !isSymmetric(spec.scheme)) {
    return `compressed-tensors holds one scale per tensor only for symmetric int8, not ${formatName(spec)}; use group or channel granularity.`;
  }
  return undefined;
}
