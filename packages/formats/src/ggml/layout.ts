/** The block bytes of GGUF files. The container itself (metadata, names, row orders) is the business of @fewbit/checkpoint. */
import { FewbitError, findInStrips, inStrips, type Tensor } from '@fewbit/core';
import { createFormat } from '../create-format.js';
import { expectTensor } from '../expect-tensor.js';
import { formatName } from '../format-name.js';
import { codesAlone } from '../sparse-matrix.js';
import type { FormatSpec, GgmlSpec, Layout } from '../types.js';
import { packBlock, unpackBlock } from './block-bytes.js';
import { type GgmlTypeName, ggmlType, ggmlTypeNames } from './ggml-types.js';
import type { BlockParams } from './simple-format.js';
import type { SuperParams } from './super-format.js';

/** A matrix is one local tensor, `weight.q4_k` say: U8 [rows, bytes of a row]. */
export const gguf: Layout = {
  id: 'gguf',
  holdsFloat: true,
  holdsTables: true,
  rejects,
  pack(matrix) {
    codesAlone(gguf, matrix);
    const { spec, rows, cols, codes, params, columnGroup } = matrix;
    const reason = rejects(spec, rows, cols);
    if (reason) throw new FewbitError('unsupported', reason);
    if (columnGroup)
      throw new FewbitError('unsupported', 'GGUF blocks are runs of columns: a matrix with a columnGroup has no place in them.');
    const { type: name } = spec as GgmlSpec;
    const type = ggmlType(name);
    const blocks = (rows * cols) / type.block;
    if (codes.length !== rows * cols || params.length !== blocks) {
      throw new FewbitError(
        'usage',
        `A ${name} matrix of ${rows} × ${cols} has ${rows * cols} codes and ${blocks} params, got ${codes.length} and ${params.length}.`,
      );
    }
    const data = new Uint8Array(blocks * type.bytes);
    for (let b = 0; b < blocks; b++)
      packBlock(type, codes, b * type.block, params.at(b) as BlockParams | SuperParams, data, b * type.bytes);
    return new Map<string, Tensor>([[`weight.${name}`, { dtype: 'U8', shape: [rows, data.length / rows], data }]]);
  },
  *unpack(tensors, spec, rows, cols) {
    const reason = rejects(spec, rows, cols);
    if (reason) throw new FewbitError('checkpoint', reason);
    const { type: name } = spec as GgmlSpec;
    const type = ggmlType(name);
    const { data } = expectTensor(tensors, `weight.${name}`, ['U8'], [rows, (cols / type.block) * type.bytes]);
    const codes = new Uint8Array(rows * cols);
    const params: (BlockParams | SuperParams)[] = [];
    yield* inStrips(codes.length / type.block, 4 * type.block, (start, end) => {
      for (let b = start; b < end; b++) {
        const block = unpackBlock(type, data, b * type.bytes, codes, b * type.block);
        const bad = [block.d, 'dmin' in block ? block.dmin : block.m].find((value) => !Number.isFinite(value));
        if (bad !== undefined)
          throw new FewbitError('checkpoint', `Tensor weight.${name}, block ${b}, has scale ${bad}: expected a finite number.`);
        params.push(block);
      }
    });
    const { levels } = createFormat(spec);
    const high = yield* findInStrips(codes.length, (start, end) => {
      for (let i = start; i < end; i++) if (codes[i]! >= levels) return i - start;
      return -1;
    });
    if (high >= 0) throw new FewbitError('checkpoint', `Tensor weight.${name} holds code ${codes[high]} at ${high}, beyond ${levels - 1}.`);
    return { rows, cols, spec, codes, params };
  },
  describe: (modules) => ({
    quant_method: 'gguf',
    modules: Object.fromEntries([...modules].map(([module, spec]) => [module, typeOf(spec)])),
  }),
  recognise(config) {
    if (typeof config !== 'object' || config === null || (config as { quant_method?: unknown }).quant_method !== 'gguf') return undefined;
    const types = new Map<string, GgmlSpec>();
    for (const [module, type] of Object.entries((config as { modules?: object }).modules ?? {})) {
      if (!(ggmlTypeNames as readonly unknown[]).includes(type))
        throw new FewbitError('unsupported', `${module} is stored as ${String(type)}, which is not read; ${ggmlTypeNames.join(', ')} are.`);
      types.set(module, { kind: 'ggml', type: type as GgmlTypeName });
    }
    return { layout: gguf, format: (module) => types.get(module) };
  },
};

function rejects(spec: FormatSpec, _rows: number, cols: number): string | undefined {
  if (spec.kind !== 'ggml') return `GGUF holds ggml's block types, not ${formatName(spec)}: choose ${ggmlTypeNames.join(', ')}.`;
  const { block } = ggmlType(spec.type);
  if (cols % block === 0) return undefined;
  return `A ${spec.type} row is made of blocks of ${block}; ${cols} inputs are not a multiple of that. Choose a type with blocks of 32, or a mix, which falls back to one.`;
}

function typeOf(spec: FormatSpec): GgmlTypeName {
  if (spec.kind !== 'ggml') throw new FewbitError('usage', `GGUF does not hold ${formatName(spec)}.`);
  return spec.type;
}
