/**
 * The 4-bit tensors of bitsandbytes, N rows (outputs), K columns (inputs), B blocks of the flattened matrix:
 *
 *   weight                                      U8 [⌈N·K/2⌉, 1]  the first code of a pair in the HIGH nibble
 *   weight.absmax                               F32 [B]; nested: U8 [B], codes of the dynamic map
 *   weight.quant_map                            F32 [16]         the levels
 *   weight.nested_absmax                        F32 [⌈B/256⌉]    nested only
 *   weight.nested_quant_map                     F32 [256]        nested only
 *   weight.quant_state.bitsandbytes__nf4 | fp4  U8               JSON: block size, shape, dtype, offset of the absmaxes
 *
 * Source: bitsandbytes, functional.py (QuantState), nn/modules.py.
 */
import { FewbitError, fromFloat32, fromIntegers, inStrips, type Pausable, type Tensor, toFloat32 } from '@fewbit/core';
import type { AbsmaxParams } from '../codebook/absmax-format.js';
import { dynamicMap } from '../codebook/dynamic-map.js';
import { levelTables } from '../codebook/level-tables.js';
import { type NestedParams, nestedBlock, nestedParams } from '../codebook/nested-format.js';
import { expectTensor } from '../expect-tensor.js';
import { scalesOf } from '../int-matrix.js';
import { isRecord } from '../is-record.js';
import { type ParamList, paramList } from '../param-list.js';
import type { CodebookSpec, QuantizedMatrix } from '../types.js';

/** Codebooks that bitsandbytes has. */
export type FourBitSpec = CodebookSpec & { readonly levels: 'nf4' | 'bnb-fp4'; readonly granularity: { readonly kind: 'flat' } };
type FourBitMatrix = QuantizedMatrix<AbsmaxParams, FourBitSpec>;

const stateName = { nf4: 'weight.quant_state.bitsandbytes__nf4', 'bnb-fp4': 'weight.quant_state.bitsandbytes__fp4' } as const;

export function packFourBit(matrix: FourBitMatrix): Map<string, Tensor> {
  const { rows, cols, spec, codes, params } = matrix;
  const tensors = new Map<string, Tensor>([
    ['weight', { dtype: 'U8', shape: [Math.ceil(codes.length / 2), 1], data: packPairs(codes) }],
    ['weight.quant_map', fromFloat32(levelTables[spec.levels], 'F32', [16])],
  ]);
  const nested = spec.nested ? ([...params] as NestedParams[]) : undefined;
  if (nested) {
    const blocks = nested.filter((_, i) => i % nestedBlock === 0).map(({ blockAbsmax }) => blockAbsmax);
    tensors.set(
      'weight.absmax',
      fromIntegers(
        Uint8Array.from(nested, ({ code }) => code),
        [nested.length],
      ),
    );
    tensors.set('weight.nested_absmax', fromFloat32(Float32Array.from(blocks), 'F32', [blocks.length]));
    tensors.set('weight.nested_quant_map', fromFloat32(dynamicMap, 'F32', [256]));
  } else {
    tensors.set('weight.absmax', fromFloat32(scalesOf(params), 'F32', [params.length]));
  }
  const state = new TextEncoder().encode(stateOf(spec, rows, cols, nested?.[0]?.offset));
  tensors.set(stateName[spec.levels], { dtype: 'U8', shape: [state.length], data: state });
  return tensors;
}

/** As Python's json.dumps writes it. Only these keys are allowed; readers cast what they decode to the dtype of the input. */
function stateOf({ levels, granularity }: FourBitSpec, rows: number, cols: number, offset: number | undefined): string {
  const type = levels === 'nf4' ? 'nf4' : 'fp4';
  const nested = offset === undefined ? '' : `, "nested_blocksize": ${nestedBlock}, "nested_dtype": "float32", "nested_offset": ${offset}`;
  return `{"quant_type": "${type}", "blocksize": ${granularity.size}, "dtype": "float32", "shape": [${rows}, ${cols}]${nested}}`;
}

/** The block size is that of the file. */
export function* unpackFourBit(
  tensors: ReadonlyMap<string, Tensor>,
  spec: FourBitSpec,
  rows: number,
  cols: number,
): Pausable<FourBitMatrix> {
  const state = readState(tensors, spec.levels, rows, cols);
  const count = rows * cols;
  const blocks = Math.ceil(count / state.blockSize);
  const { data } = expectTensor(tensors, 'weight', ['U8'], [Math.ceil(count / 2), 1]);
  expectMap(tensors, 'weight.quant_map', levelTables[spec.levels]);
  const nested = state.offset !== undefined;
  const params = nested ? readNested(tensors, blocks, state.offset) : readAbsmaxes(tensors, blocks);
  const { nested: _, ...rest } = spec;
  const stored = { ...rest, granularity: { kind: 'flat', size: state.blockSize } as const, ...(nested && { nested }) };
  return { rows, cols, spec: stored, codes: yield* unpackPairs(data, count), params };
}

function readAbsmaxes(tensors: ReadonlyMap<string, Tensor>, blocks: number): ParamList<AbsmaxParams> {
  const absmaxes = readFinite(tensors, 'weight.absmax', blocks);
  return paramList(blocks, (i) => ({ scale: absmaxes[i]! }));
}

function readNested(tensors: ReadonlyMap<string, Tensor>, blocks: number, offset: number): ParamList<NestedParams> {
  const codes = expectTensor(tensors, 'weight.absmax', ['U8'], [blocks]).data;
  const absmaxes = readFinite(tensors, 'weight.nested_absmax', Math.ceil(blocks / nestedBlock));
  expectMap(tensors, 'weight.nested_quant_map', dynamicMap);
  return paramList(blocks, (i) => nestedParams(codes[i]!, absmaxes[Math.floor(i / nestedBlock)]!, offset));
}

function readFinite(tensors: ReadonlyMap<string, Tensor>, name: string, count: number): Float32Array {
  const values = toFloat32(expectTensor(tensors, name, ['F32'], [count]));
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad === -1) return values;
  throw new FewbitError('checkpoint', `Tensor ${name} holds ${values[bad]} at ${bad}: expected finite numbers.`);
}

function readState(tensors: ReadonlyMap<string, Tensor>, levels: FourBitSpec['levels'], rows: number, cols: number) {
  const name = stateName[levels];
  const refuse = (problem: string): never => {
    throw new FewbitError('checkpoint', `Tensor ${name} ${problem}.`);
  };
  const tensor = tensors.get(name);
  if (!tensor) return refuse('is missing: expected U8, a JSON object');
  if (tensor.dtype !== 'U8') return refuse(`is ${tensor.dtype}: expected U8, a JSON object`);
  const state = parseState(tensor.data) ?? refuse('is no JSON object');
  const { blocksize, shape, nested_blocksize: nestedSize, nested_offset: offset } = state;
  if (!Number.isSafeInteger(blocksize) || (blocksize as number) < 1)
    return refuse(`has blocksize ${JSON.stringify(blocksize)}: expected a whole number`);
  if (!Array.isArray(shape) || shape.length !== 2 || shape[0] !== rows || shape[1] !== cols) {
    return refuse(`has shape ${JSON.stringify(shape)}: expected [${rows}, ${cols}]`);
  }
  if (offset === undefined) return { blockSize: blocksize as number, offset: undefined };
  if (typeof offset !== 'number') return refuse(`has nested_offset ${JSON.stringify(offset)}: expected a number`);
  if (nestedSize !== nestedBlock) return refuse(`has nested_blocksize ${JSON.stringify(nestedSize)}: expected ${nestedBlock}`);
  return { blockSize: blocksize as number, offset };
}

function parseState(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const state: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return isRecord(state) ? state : undefined;
  } catch {
    return undefined;
  }
}

/** Levels are named by the format, so that the file's must be the same but for the last bits. */
function expectMap(tensors: ReadonlyMap<string, Tensor>, name: string, expected: Float32Array): void {
  const found = toFloat32(expectTensor(tensors, name, ['F32'], [expected.length]));
  const bad = found.findIndex((level, i) => !(Math.abs(level - expected[i]!) <= 1e-6));
  if (bad === -1) return;
  throw new FewbitError(
    'unsupported',
    `Tensor ${name} holds ${found[bad]} at ${bad}, where bitsandbytes has ${expected[bad]}: other levels are not read.`,
  );
}

function packPairs(codes: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(codes.length / 2));
  for (let i = 0; i < codes.length; i++) bytes[i >> 1]! |= codes[i]! << (i & 1 ? 0 : 4);
  return bytes;
}

function* unpackPairs(bytes: Uint8Array, count: number): Pausable<Uint8Array> {
  const codes = new Uint8Array(count);
  yield* inStrips(count, 1, (start, end) => {
    for (let i = start; i < end; i++) codes[i] = i & 1 ? bytes[i >> 1]! & 15 : bytes[i >> 1]! >> 4;
  });
  return codes;
}
