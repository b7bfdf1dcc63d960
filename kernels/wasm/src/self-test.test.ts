import type { Backend } from '@fewbit/kernels';
import { expect, it } from 'vitest';
import { fastestBuild } from './load-build.js';
import { selfTest } from './self-test.js';
import { wasmBackend } from './wasm-backend.js';

it('finds wrong products of floats, and of codes with either kind of inputs', async () => {
  const backend = await wasmBackend(await fastestBuild(), 2);
  expect(await selfTest(backend)).toBeUndefined();
  /** A backend whose n-th product has a wrong element. */
  const wrongAt = (nth: number): Backend => {
    let seen = 0;
    const matmul: Backend['ops']['matmul'] = (...operands) => {
      const product = backend.ops.matmul(...operands);
      return seen++ === nth ? backend.ops.scale(product, 1.01) : product;
    };
    return { ...backend, ops: { ...backend.ops, matmul } };
  };
  expect(await selfTest(wrongAt(0))).toMatch(/^the self-test failed: element \(0, 0\) of a product is [-\d.]+, not [-\d]+$/);
  expect(await selfTest(wrongAt(1))).toMatch(/with int16 activations$/);
  expect(await selfTest(wrongAt(4))).toMatch(/with int8 activations$/);
  await backend.close();
});
