/**
 * Fewbit's own layout, for what no engine has: fitted codebooks, integers and floats of any granularity, outliers. N rows (outputs),
 * K columns (inputs), T tiles in row-major order, codes of b bits:
 *
 *   weight_codes   I32 [N, ⌈K·b/32⌉]  dense bit stream along each row, low bits first
 *   weight_scale   float [T]          integers and floats; U8 [T] for E8M0 exponents
 *   weight_zero    U8 [T]             asymmetric integers
 *   weight_levels  float [T, 2^b]     fitted codebooks, rising
 *   weight_scale_codes, weight_zero_codes  I32 [⌈T·s/32⌉]  two-level scales of s bits, one bit stream
 *   weight_scale_steps  float [⌈N/R⌉·⌈T/N⌉, 4]  for R rows of a group of inputs: least scale, its step, least zero point, its step
 *   weight_groups  I32 [K]            group of each column, where that is not column ÷ size
 *   input_scale    F32 [1]            static activations, with input_zero U8 [1] for integers; k_…, v_… beside an attention layer's linears,
 *                                     [heads, 1, 1] where each head has its own
 *
 * Beside the codes of any format, where a matrix has outliers: E weights that stand in the place of what their codes decode to, row by row.
 * Counts and columns are U8 where K < 2^8, U16 where K < 2^16, else U32:
 *
 *   weight_outlier_counts   [N]        how many a row has
 *   weight_outlier_columns  [E]        rising in each row
 *   weight_outlier_values   float [E]
 *
 * The config names each module's format by its FormatSpec:
 *
 *   { quant_method: "fewbit", version: 1, formats: [FormatSpec…], activations: [ActivationSpec…], keyValues?: ActivationSpec,
 *     modules: { "model.layers.0.mlp.up_proj": { format: 0, activation: 0 }, … } }
 */
import { FewbitError, fromIntegers, type Tensor } from '@fewbit/core';
import { packedWords, packRows, unpackRows } from '../bit-stream.js';
import { createFormat } from '../create-format.js';
import { expectTensor, wordsOf } from '../expect-tensor.js';
import { formatName } from '../format-name.js';
import { unpackColumnGroup } from '../int-matrix.js';
import { keyValueTensors } from '../key-value-tensors.js';
import { checkOutliers } from '../sparse-matrix.js';
import { tileGrid } from '../tile-grid.js';
import type { ActivationSpec, FormatSpec, Layout, QuantizedMatrix } from '../types.js';
import { packActivation, unpackActivation } from './activation.js';
import { describeConfig, readConfig } from './config.js';
import { packOutliers, unpackOutliers } from './outliers.js';
import { paramsOf } from './params.js';

export const fewbit: Layout = {
  id: 'fewbit',
  holdsTables: true,
  holdsOutliers: true,
  rejects,
  rejectsActivation: (activation) => (activation.perHead ? 'inputs have no heads.' : rejectsActivation(activation)),
  keyValues: { rejects: rejectsActivation, ...keyValueTensors(packActivation, unpackActivation) },
  pack(matrix, activation) {
    const { rows, cols, spec, codes, columnGroup, outliers } = matrix;
    checkSizes(matrix);
    checkOutliers(matrix);
    const bits = codeBits(spec);
    const grid = tileGrid(createFormat(spec), rows, cols);
    const tensors = new Map<string, Tensor>([
      ['weight_codes', fromIntegers(packRows(codes, rows, cols, bits), [rows, packedWords(cols, bits)])],
      ...paramsOf(spec)!.pack(matrix.params, grid),
      ...packOutliers(outliers, cols),
      ...packActivation(activation),
    ]);
    if (columnGroup) tensors.set('weight_groups', fromIntegers(columnGroup.slice(), [cols]));
    return tensors;
  },
  *unpack(tensors, spec, rows, cols) {
    const family = paramsOf(spec);
    if (!family) throw new FewbitError('unsupported', rejects(spec)!);
    const bits = codeBits(spec);
    const words = wordsOf(expectTensor(tensors, 'weight_codes', ['I32'], [rows, packedWords(cols, bits)]));
    const grid = tileGrid(createFormat(spec), rows, cols);
    const codes = yield* unpackRows(words, rows, cols, bits);
    const outliers = unpackOutliers(tensors, rows, cols);
    const matrix = { rows, cols, spec, codes, params: yield* family.unpack(tensors, grid), ...(outliers && { outliers }) };
    if (!tensors.has('weight_groups')) return matrix;
    return { ...matrix, columnGroup: unpackColumnGroup(tensors, 'weight_groups', cols, grid.across) };
  },
  unpackActivation,
  describe: describeConfig,
  recognise: (config) => readConfig(config, fewbit),
};

function rejectsActivation({ scaling, format }: ActivationSpec): string | undefined {
  if (scaling === 'local') return 'it stores no tensor scale of inputs.';
  const perTensor = 'granularity' in format && format.granularity.kind === 'tensor';
  return scaling === 'static' && !perTensor ? 'a stored scale is one per tensor.' : undefined;
}

function rejects(spec: FormatSpec): string | undefined {
  if (paramsOf(spec)) return undefined;
  return `Fewbit's own layout has no ${formatName(spec)}: an engine's layout has.`;
}

function codeBits(spec: FormatSpec): number {
  return Math.log2(createFormat(spec).levels);
}

function checkSizes({ rows, cols, spec, codes, params, columnGroup }: QuantizedMatrix): void {
  const reason = rejects(spec);
  if (reason) throw new FewbitError('unsupported', reason);
  const { levels } = createFormat(spec);
  const { count } = tileGrid(createFormat(spec), rows, cols);
  const expect = (held: boolean, message: string) => {
    if (!held) throw new FewbitError('usage', `A quantized ${rows} × ${cols} matrix ${message}.`);
  };
  expect(codes.length === rows * cols, `needs ${rows * cols} codes, got ${codes.length}`);
  expect(
    codes.every((code) => code < levels),
    `of ${levels} levels holds a code beyond them`,
  );
  expect(params.length === count, `has ${count} tiles, got ${params.length} params`);
  expect(columnGroup === undefined || columnGroup.length === cols, `needs ${cols} column groups`);
}
