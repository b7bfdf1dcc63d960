/** GPTQ checkpoints as AutoGPTQ and GPTQModel write them, versions 1 (`gptq`) and 2 (`gptq_v2`). */
import { FewbitError } from '@fewbit/core';
import { formatName } from '../format-name.js';
import { type IntParams, isSymmetric } from '../int/int-format.js';
import { checkMatrix, gridOf, integersOnly, isScaledInt, notInteger, zerosOf } from '../int-matrix.js';
import type { ParamList } from '../param-list.js';
import { codesAlone } from '../sparse-matrix.js';
import { storableScale } from '../storable-scale.js';
import type { FormatSpec, Layout, NumericFormat, QuantizedMatrix } from '../types.js';
import { describeConfig, readConfig } from './config.js';
import { packTensors, unpackTensors, type Version } from './words.js';

/** What every engine reads; zero points are stored less 1, so that 0 cannot be. */
export const gptq: Layout = createLayout('gptq', 1);

/** For zero points of 0: read by GPTQModel, transformers and SGLang, not by AutoGPTQ. */
export const gptqV2: Layout = createLayout('gptq-v2', 2);

function createLayout(id: string, version: Version): Layout {
  const layout: Layout = {
    id,
    scaleTypes: ['F16'],
    rejects,
    ...(version === 1 && { rejectsMatrix: rejectsZeroPoints, restrict: withoutZeroPointsOf0 }),
    caution,
    pack(matrix) {
      codesAlone(layout, matrix);
      const reason = rejects(matrix.spec) ?? layout.rejectsMatrix?.(matrix);
      if (reason) throw new FewbitError('unsupported', reason);
      return packTensors(checkMatrix({ ...matrix, spec: integersOnly(matrix.spec, 'GPTQ') }), version);
    },
    unpack: (tensors, spec, rows, cols) => unpackTensors(tensors, integersOnly(spec, 'GPTQ'), rows, cols, version),
    describe: (modules, ignored, options) => describeConfig(modules, ignored, options?.columnGrouped, version),
    recognise: (config) => readConfig(config, layout, version),
  };
  return layout;
}

function rejects(spec: FormatSpec): string | undefined {
  if (!isScaledInt(spec)) return notInteger(spec, 'GPTQ');
  const { bits, granularity, scaleType } = spec;
  if (![2, 3, 4, 8].includes(bits)) return `GPTQ checkpoints hold 2, 3, 4 or 8 bits, not ${formatName(spec)}.`;
  if (granularity.kind !== 'group' && granularity.kind !== 'channel') {
    return `GPTQ checkpoints have scales per group or channel, not ${formatName(spec)}.`;
  }
  if (scaleType !== 'F16') return `GPTQ checkpoints have F16 scales, not ${scaleType}: readers would round them.`;
  return undefined;
}

/** Readers of version 1 would carry the zero point 0 into its neighbour. */
function rejectsZeroPoints({ rows, cols, spec, params }: QuantizedMatrix): string | undefined {
  if (spec.kind !== 'int') return undefined;
  const at = zerosOf(params as ParamList<IntParams>).indexOf(0);
  if (at === -1) return undefined;
  const { across } = gridOf(spec, rows, cols);
  return `Output ${Math.floor(at / across)}, group ${at % across} has the zero point 0, which readers of GPTQ version 1 mistake: use layout gptq-v2, or a symmetric format.`;
}

/** Where a tile has no negative value, its zero point becomes 1 and its step as much larger as the code that is left unused asks for. */
function withoutZeroPointsOf0(format: NumericFormat): NumericFormat {
  const { spec, levels } = format;
  if (spec.kind !== 'int' || isSymmetric(spec.scheme)) return format;
  const restricted = (params: unknown): IntParams => {
    const { scale, zero } = params as IntParams;
    if (zero > 0) return { scale, zero };
    return { scale: storableScale(spec.scaleType, Math.fround((scale * (levels - 1)) / (levels - 2))), zero: 1 };
  };
  const { fits } = format;
  return {
    ...format,
    fit: (tile, shrink) => restricted(format.fit(tile, shrink)),
    ...(fits && {
      fits(tile) {
        const fit = fits(tile);
        return (shrink) => restricted(fit(shrink));
      },
    }),
  };
}

function caution(spec: FormatSpec, rows: number, cols: number): string | undefined {
  if (spec.kind !== 'int') return undefined;
  const { bits, granularity } = spec;
  const unit = bits === 3 ? 32 : 32 / bits;
  if (rows % unit !== 0 || cols % unit !== 0) {
    return `GPTQ's readers unpack whole words: ${rows} outputs and ${cols} inputs are not both multiples of ${unit}. Use a layout without this rule, such as compressed-tensors.`;
  }
  if (granularity.kind === 'group' && cols % granularity.size !== 0) {
    return `vLLM reads no ragged group: ${cols} input columns are not a multiple of ${granularity.size}. Use a group size that divides them, or per channel.`;
  }
  return undefined;
}
