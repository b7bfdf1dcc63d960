import { FewbitError, type Pausable, type Tensor } from '@fewbit/core';
import { checkFloatMatrix } from '../float-matrix.js';
import { formatName } from '../format-name.js';
import { isSymmetric } from '../int/int-format.js';
import { checkMatrix } from '../int-matrix.js';
import type { ActivationSpec, FloatSpec, FormatSpec, Granularity, IntSpec, QuantizedMatrix } from '../types.js';
import { packFloats, unpackFloats } from './float-quantized.js';
import { packMxfp4, packNvfp4, unpackMxfp4, unpackNvfp4 } from './fp4-quantized.js';
import { packBytes, unpackBytes } from './int-quantized.js';
import { packWords, unpackWords } from './pack-quantized.js';

/** One of the ways in which compressed-tensors stores a matrix: the `format` of its config. */
interface Container<S extends FormatSpec> {
  readonly kind: S['kind'];
  /** Whether matrices of this kind are written so, with their inputs rounded so. */
  writes(spec: S, activation: ActivationSpec | undefined): boolean;
  pack(matrix: QuantizedMatrix<unknown, S>): Map<string, Tensor>;
  unpack(tensors: ReadonlyMap<string, Tensor>, spec: S, rows: number, cols: number): Pausable<QuantizedMatrix>;
}

const integers = (container: Omit<Container<IntSpec>, 'kind'>): Container<IntSpec> => ({
  kind: 'int',
  ...container,
  writes: (spec, activation) => spec.scheme !== 'symmetric-absmax' && container.writes(spec, activation),
});
const floats = (container: Omit<Container<FloatSpec>, 'kind'>): Container<FloatSpec> => ({ kind: 'float', ...container });

/** Bytes are what integer products take: int8 goes there where its inputs are rounded too, or where it has one scale. */
const containers = {
  'pack-quantized': integers({
    writes: (spec, activation) => (isGrouped(spec) || isChannel(spec)) && !isInt8Product(spec, activation),
    pack: (matrix) => packWords(checkMatrix(matrix)),
    unpack: unpackWords,
  }),
  'int-quantized': integers({
    writes: (spec, activation) => isInt8Product(spec, activation) || (spec.granularity.kind === 'tensor' && isInt8(spec)),
    pack: (matrix) => packBytes(checkMatrix(matrix)),
    unpack: unpackBytes,
  }),
  'float-quantized': floats({
    writes: ({ element, scaleType, granularity }) =>
      element === 'e4m3' && scaleType !== 'E8M0' && scaleType !== 'E4M3' && granularity.kind !== 'flat',
    pack: (matrix) => packFloats(checkFloatMatrix(matrix)),
    unpack: unpackFloats,
  }),
  'nvfp4-pack-quantized': floats({
    writes: ({ element, scaleType, granularity }) => element === 'e2m1' && scaleType === 'E4M3' && isGroupOf(granularity, 16),
    pack: (matrix) => packNvfp4(checkFloatMatrix(matrix)),
    unpack: unpackNvfp4,
  }),
  'mxfp4-pack-quantized': floats({
    writes: ({ element, scaleType, granularity }) => element === 'e2m1' && scaleType === 'E8M0' && isGroupOf(granularity, 32),
    pack: (matrix) => packMxfp4(checkFloatMatrix(matrix)),
    unpack: unpackMxfp4,
  }),
  'mxfp8-quantized': floats({
    writes: ({ element, scaleType, granularity }) => element === 'e4m3' && scaleType === 'E8M0' && isGroupOf(granularity, 32),
    pack: (matrix) => packFloats(checkFloatMatrix(matrix)),
    unpack: unpackFloats,
  }),
};

export type ContainerId = keyof typeof containers;
const entries = Object.entries(containers) as [ContainerId, Container<FormatSpec>][];

export function isContainer(id: unknown): id is ContainerId {
  return typeof id === 'string' && Object.hasOwn(containers, id);
}

export const containerIds = Object.keys(containers) as readonly ContainerId[];

/** Where such a matrix is written, or undefined where compressed-tensors has no place for it. */
export function containerOf(spec: FormatSpec, activation?: ActivationSpec): ContainerId | undefined {
  return entries.find(([, { kind, writes }]) => kind === spec.kind && writes(spec, activation))?.[0];
}

export function packInto(id: ContainerId, matrix: QuantizedMatrix): Map<string, Tensor> {
  return (containers[id] as Container<FormatSpec>).pack(matrix);
}

/** Reads a matrix, in words or in bytes as its tensors are. Throws `unsupported` for a format that has no container. */
export function* unpackFrom(tensors: ReadonlyMap<string, Tensor>, spec: FormatSpec, rows: number, cols: number): Pausable<QuantizedMatrix> {
  const id = spec.kind === 'int' ? (tensors.has('weight') ? 'int-quantized' : 'pack-quantized') : containerOf(spec);
  if (!id) throw new FewbitError('unsupported', `compressed-tensors has no ${formatName(spec)}.`);
  return yield* (containers[id] as Container<FormatSpec>).unpack(tensors, spec, rows, cols);
}

function isInt8Product(spec: IntSpec, activation: ActivationSpec | undefined): boolean {
  return activation?.format.kind === 'int' && isInt8(spec) && isChannel(spec);
}

const isInt8 = (spec: IntSpec) => spec.bits === 8 && isSymmetric(spec.scheme);
const isChannel = (spec: IntSpec) => spec.granularity.kind === 'channel';
const isGrouped = (spec: IntSpec) => spec.granularity.kind === 'group';
const isGroupOf = (granularity: Granularity, size: number) => granularity.kind === 'group' && granularity.size === size;
