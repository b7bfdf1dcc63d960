import { atOnce, type Tensor } from '@fewbit/core';
import { fewbitError } from '@fewbit/testkit';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Layout, QuantizedMatrix } from '../src/index.js';

const damages: Readonly<Record<string, (tensor: Tensor) => Tensor | undefined>> = {
  missing: () => undefined,
  dtype: (tensor) => ({ ...tensor, dtype: 'I16' }),
  shape: (tensor) => ({ ...tensor, shape: [tensor.shape[0]! + 1, ...tensor.shape.slice(1)] }),
  rank: (tensor) => ({ ...tensor, shape: [...tensor.shape, 1] }),
  bytes: (tensor) => ({ ...tensor, data: tensor.data.length > 0 ? tensor.data.slice(1) : new Uint8Array(1) }),
};

/** Reading names the one tensor that is damaged. `spared`: what a matrix can be read without, or is not checked so. */
export function damageContract(
  layout: Layout,
  matrices: fc.Arbitrary<QuantizedMatrix>,
  spared: (name: string, damage: string) => boolean = () => false,
): void {
  it('names the tensor that is missing or has another dtype, shape, length', () => {
    fc.assert(
      fc.property(matrices, fc.nat(), fc.constantFrom(...Object.keys(damages)), (matrix, pick, damage) => {
        const tensors = new Map(layout.pack(matrix));
        const names = [...tensors.keys()].filter((name) => !spared(name, damage));
        const name = names[pick % names.length]!;
        const damaged = damages[damage]!(tensors.get(name)!);
        if (damaged) tensors.set(name, damaged);
        else tensors.delete(name);
        expect(() => atOnce(layout.unpack(tensors, matrix.spec, matrix.rows, matrix.cols))).toThrow(
          fewbitError('checkpoint', new RegExp(`Tensor ${name} .*(expected|takes)`)),
        );
      }),
    );
  });
}
