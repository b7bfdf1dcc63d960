/** bitsandbytes checkpoints as transformers writes them: NF4 and FP4, nested or not, and LLM.int8(). */
import { FewbitError } from '@fewbit/core';
import { activationName } from '../activation-name.js';
import type { AbsmaxParams } from '../codebook/absmax-format.js';
import { createFormat } from '../create-format.js';
import { formatName } from '../format-name.js';
import type { AbsmaxIntParams } from '../int/absmax-int-format.js';
import type { ParamList } from '../param-list.js';
import { codesAlone } from '../sparse-matrix.js';
import { tileGrid } from '../tile-grid.js';
import type { FormatSpec, IntSpec, Layout, QuantizedMatrix } from '../types.js';
import { describeConfig, eightBitInputs, readConfig } from './config.js';
import { packEightBit, unpackEightBit } from './eight-bit.js';
import { type FourBitSpec, packFourBit, unpackFourBit } from './four-bit.js';

export const bitsandbytes: Layout = {
  id: 'bnb',
  rejects,
  rejectsActivation(activation, spec) {
    const implied = isEightBit(spec) ? eightBitInputs() : undefined;
    if (JSON.stringify(activation) === JSON.stringify(implied)) return undefined;
    const does = implied ? `inputs become ${activationName(implied)}` : 'inputs stay in float';
    return `with ${formatName(spec)} ${does}; leave activations out.`;
  },
  impliedActivation: (spec) => (isEightBit(spec) ? eightBitInputs() : undefined),
  pack(matrix) {
    codesAlone(bitsandbytes, matrix);
    const { spec } = matrix;
    checkSizes(matrix);
    if (isFourBit(spec)) return packFourBit({ ...matrix, spec, params: matrix.params as ParamList<AbsmaxParams> });
    if (isEightBit(spec)) return packEightBit({ ...matrix, spec, params: matrix.params as ParamList<AbsmaxIntParams> });
    throw new FewbitError('unsupported', rejects(spec)!);
  },
  *unpack(tensors, spec, rows, cols) {
    if (isFourBit(spec)) return yield* unpackFourBit(tensors, spec, rows, cols);
    if (isEightBit(spec)) return yield* unpackEightBit(tensors, spec, rows, cols);
    throw new FewbitError('unsupported', rejects(spec)!);
  },
  describe: describeConfig,
  recognise: (config) => readConfig(config, bitsandbytes),
};

const blockSizes = [32, 64, 128, 256, 512, 1024, 2048, 4096];

function rejects(spec: FormatSpec): string | undefined {
  if (isFourBit(spec) || isEightBit(spec)) return undefined;
  return `bitsandbytes has nf4 and fp4 with blocks of ${blockSizes[0]} … ${blockSizes.at(-1)} values and llm-int8, not ${formatName(spec)}.`;
}

function isFourBit(spec: FormatSpec): spec is FourBitSpec {
  if (spec.kind !== 'codebook' || spec.levels === 'fitted' || spec.scaleType !== 'F32') return false;
  return spec.granularity.kind === 'flat' && blockSizes.includes(spec.granularity.size);
}

function isEightBit(spec: FormatSpec): spec is IntSpec {
  return spec.kind === 'int' && spec.scheme === 'symmetric-absmax' && spec.granularity.kind === 'channel';
}

function checkSizes({ rows, cols, spec, codes, params, columnGroup }: QuantizedMatrix): void {
  const { count } = tileGrid(createFormat(spec), rows, cols);
  const expect = (held: boolean, message: string) => {
    if (!held) throw new FewbitError('usage', `A quantized ${rows} × ${cols} matrix ${message}.`);
  };
  expect(codes.length === rows * cols, `needs ${rows * cols} codes, got ${codes.length}`);
  expect(params.length === count, `has ${count} tiles, got ${params.length} params`);
  expect(columnGroup === undefined, 'of bitsandbytes cannot have a columnGroup');
}
