/** compressed-tensors, the format of llm-compressor, vLLM and transformers: its integer families `pack-quantized` and `int-quantized`. */
import { FewbitError } from '@fewbit/core';
import { formatName } from '../format-name.js';
import { isSymmetric } from '../int/int-format.js';
import { checkMatrix } from '../int-matrix.js';
import type { FormatSpec, Layout } from '../types.js';
import { describeConfig } from './describe.js';
import { packBytes, unpackBytes } from './int-quantized.js';
import { packWords, unpackWords } from './pack-quantized.js';
import { readConfig } from './recognise.js';

/**
 * Channel and group granularity go to `pack-quantized`, one scale for the whole tensor to `int-quantized`; both are read.
 * Every symmetric scheme is exact: readers multiply code − 2^(bits − 1) by the scale, whatever its convention or sign.
 */
export const compressedTensors: Layout = {
  id: 'compressed-tensors',
  rejects,
  caution(spec, _rows, cols) {
    if (spec.kind !== 'int' || spec.granularity.kind !== 'group' || cols % spec.granularity.size === 0) return undefined;
    return `vLLM and the compressed-tensors package read no ragged group: ${cols} input columns are not a multiple of ${spec.granularity.size}. Use a group size that divides them, or per channel.`;
  },
  pack(matrix) {
    const { spec } = matrix;
    const reason = rejects(spec);
    if (reason || spec.kind !== 'int') throw new FewbitError('unsupported', reason ?? notInteger(spec));
    const integers = checkMatrix({ ...matrix, spec });
    return spec.granularity.kind === 'tensor' ? packBytes(integers) : packWords(integers);
  },
  unpack(tensors, spec, rows, cols) {
    if (spec.kind !== 'int') throw new FewbitError('unsupported', notInteger(spec));
    return (tensors.has('weight') ? unpackBytes : unpackWords)(tensors, spec, rows, cols);
  },
  describe: describeConfig,
  recognise: (config) => readConfig(config, compressedTensors),
};

function rejects(spec: FormatSpec): string | undefined {
  if (spec.kind !== 'int') return notInteger(spec);
  if (spec.scheme === 'symmetric-absmax') return 'compressed-tensors stores scales, not absmaxes; take the scheme symmetric-restricted.';
  const { kind } = spec.granularity;
  if (kind === 'block' || kind === 'flat') {
    const what = kind === 'block' ? '2-D blocks' : 'runs across rows';
    return `compressed-tensors has no integer format with ${what} that engines read; use group, channel or tensor granularity.`;
  }
  if (kind === 'tensor' && (spec.bits !== 8 || !isSymmetric(spec.scheme))) {
    return `compressed-tensors holds one scale per tensor only for symmetric int8, not ${formatName(spec)}; use group or channel granularity.`;
  }
  return undefined;
}

function notInteger(spec: FormatSpec): string {
  return `compressed-tensors files of integer formats are written and read here, not ${formatName(spec)}.`;
}
