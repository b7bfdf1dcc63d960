/** AWQ checkpoints in the GEMM version, as AutoAWQ and GPTQModel write them. */
import { FewbitError } from '@fewbit/core';
import { formatName } from '../format-name.js';
import { checkMatrix, integersOnly, isScaledInt, notInteger } from '../int-matrix.js';
import { codesAlone } from '../sparse-matrix.js';
import type { FormatSpec, Layout } from '../types.js';
import { describeConfig, readConfig } from './config.js';
import { packTensors, unpackTensors } from './words.js';

/** 4 bits with zero points; those of a symmetric format are all 8. */
export const awq: Layout = {
  id: 'awq',
  scaleTypes: ['F16'],
  rejects: (spec, rows) => rejectsSpec(spec) ?? rejectsRows(rows),
  caution(spec, _rows, cols) {
    if (spec.kind !== 'int') return undefined;
    const { granularity } = spec;
    if (granularity.kind !== 'group' || cols % granularity.size === 0) return undefined;
    return `AWQ's readers take no ragged group: ${cols} input columns are not a multiple of ${granularity.size}. Use a group size that divides them, or per channel.`;
  },
  pack(matrix) {
    codesAlone(awq, matrix);
    const reason = rejectsSpec(matrix.spec) ?? rejectsRows(matrix.rows);
    if (reason) throw new FewbitError('unsupported', reason);
    if (matrix.columnGroup) throw new FewbitError('unsupported', 'AWQ checkpoints have no g_idx: use a column order with natural groups.');
    return packTensors(checkMatrix({ ...matrix, spec: integersOnly(matrix.spec, 'AWQ') }));
  },
  *unpack(tensors, spec, rows, cols) {
    const reason = rejectsRows(rows);
    if (reason) throw new FewbitError('checkpoint', reason);
    return yield* unpackTensors(tensors, integersOnly(spec, 'AWQ'), rows, cols);
  },
  describe: describeConfig,
  recognise: (config) => readConfig(config, awq),
};

function rejectsSpec(spec: FormatSpec): string | undefined {
  if (!isScaledInt(spec)) return notInteger(spec, 'AWQ');
  const { bits, granularity, scaleType } = spec;
  if (bits !== 4) return `AWQ checkpoints hold 4 bits, not ${formatName(spec)}.`;
  if (granularity.kind !== 'group' && granularity.kind !== 'channel') {
    return `AWQ checkpoints have scales per group or channel, not ${formatName(spec)}.`;
  }
  if (scaleType !== 'F16') return `AWQ checkpoints have F16 scales, not ${scaleType}: readers would round them.`;
  return undefined;
}

function rejectsRows(rows: number): string | undefined {
  return rows % 8 === 0 ? undefined : `AWQ checkpoints pack eight outputs a word, and ${rows} is no multiple of 8.`;
}
