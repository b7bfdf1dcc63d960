import { type Matrix, matrix, random } from '@fewbit/core';
import { referenceAlgebra as algebra } from '@fewbit/kernels';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyRewrite, outputError, type Rewrite, rewriteDrift, type Weights, weightError } from './index.js';

function draw(seed: number) {
  const { normal } = random(seed);
  return (rows: number, cols: number) => matrix(rows, cols, Float32Array.from({ length: rows * cols }, normal));
}

/** [tokens, in]·Wᵀ (+ bias) */
function linear(x: Matrix, w: Matrix, bias?: Matrix): Matrix {
  const y = matrix(x.rows, w.rows);
  for (let t = 0; t < x.rows; t++) {
    for (let i = 0; i < w.rows; i++) {
      let sum = bias?.data[i] ?? 0;
      for (let j = 0; j < x.cols; j++) sum += x.data[t * x.cols + j]! * w.data[i * w.cols + j]!;
      y.data[t * w.rows + i] = sum;
    }
  }
  return y;
}

describe('applyRewrite', () => {
  const factors = (n: number) =>
    fc.array(fc.double({ min: 0.05, max: 20, noNaN: true }), { minLength: n, maxLength: n }).map((by) => Float32Array.from(by));

  it('keeps what a norm and its consumers compute, whatever the gain offset', () => {
    fc.assert(
      fc.property(fc.integer(), factors(5), fc.constantFrom(0, 1), (seed, by, gainOffset) => {
        const random = draw(seed);
        const weights: Weights = new Map([
          ['norm.weight', random(5, 1)],
          ['norm.bias', random(5, 1)],
          ['q.weight', random(4, 5)],
          ['k.weight', random(3, 5)],
        ]);
        const x = random(6, 5);
        const run = (w: Weights) => {
          const [gain, bias] = [w.get('norm.weight')!, w.get('norm.bias')!];
          const normed = matrix(
            6,
            5,
            x.data.map((value, i) => value * (gain.data[i % 5]! + gainOffset) + bias.data[i % 5]!),
          );
          return matrix(1, 42, Float32Array.from([...linear(normed, w.get('q.weight')!).data, ...linear(normed, w.get('k.weight')!).data]));
        };
        const rewrite: Rewrite = { op: 'scale', producer: 'norm.weight', consumers: ['q.weight', 'k.weight'], by, gainOffset };
        expect(rewriteDrift([rewrite], weights, run)).toBeLessThan(1e-5);
        // twice 20, the largest factor: a stored gain − 1 keeps 400 times fewer of the gain's digits (6e-8)
        expect(rewriteDrift([rewrite, rewrite], weights, run)).toBeLessThan(1e-4);
      }),
      { numRuns: 50 },
    );
  });

  it('keeps what two linear layers compute, bias and all', () => {
    fc.assert(
      fc.property(fc.integer(), factors(4), (seed, by) => {
        const random = draw(seed);
        const weights: Weights = new Map([
          ['up.weight', random(4, 3)],
          ['up.bias', random(4, 1)],
          ['down.weight', random(5, 4)],
        ]);
        const x = random(6, 3);
        const run = (w: Weights) => linear(linear(x, w.get('up.weight')!, w.get('up.bias')), w.get('down.weight')!);
        expect(rewriteDrift([{ op: 'scale', producer: 'up.weight', consumers: ['down.weight'], by }], weights, run)).toBeLessThan(1e-5);
      }),
      { numRuns: 50 },
    );
  });

  it('would show a rewrite that is not exact', () => {
    const weights: Weights = new Map([
      ['up.weight', draw(1)(4, 3)],
      ['down.weight', draw(2)(5, 4)],
      ['other.weight', draw(3)(5, 4)],
    ]);
    const x = draw(4)(6, 3);
    const run = (w: Weights) => linear(linear(x, w.get('up.weight')!), w.get('down.weight')!);
    const wrong: Rewrite = { op: 'scale', producer: 'up.weight', consumers: ['other.weight'], by: Float32Array.of(1, 2, 3, 4) };
    expect(rewriteDrift([wrong], weights, run)).toBeGreaterThan(0.1);
  });

  it('leaves the given tensors alone and refuses what does not fit', () => {
    const weights: Weights = new Map([
      ['a.weight', matrix(2, 2, Float32Array.of(1, 2, 3, 4))],
      ['b.weight', matrix(1, 2, Float32Array.of(5, 6))],
    ]);
    const scale = { op: 'scale', producer: 'a.weight', consumers: ['b.weight'], by: Float32Array.of(2, 4) } as const;
    const changed = applyRewrite(scale, weights);
    expect([...changed.get('a.weight')!.data, ...changed.get('b.weight')!.data]).toEqual([0.5, 1, 0.75, 1, 10, 24]);
    expect([...weights.get('a.weight')!.data]).toEqual([1, 2, 3, 4]);
    expect(() => applyRewrite({ ...scale, by: Float32Array.of(1) }, weights)).toThrow(/1 factors, but a\.weight has 2 output channels/);
    expect(() => applyRewrite({ ...scale, consumers: ['c.weight'] }, weights)).toThrow(/c\.weight, which is not among/);
    expect(() => applyRewrite({ ...scale, by: Float32Array.of(1, 0) }, weights)).toThrow(/factor 0 for channel 1/);
  });
});

it('measures the error of weights and of outputs', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 6 }), (seed, rows, cols) => {
      const random = draw(seed);
      const [weight, quantized, x] = [random(rows, cols), random(rows, cols), random(9, cols)];
      const h = new Float64Array(cols * cols);
      for (let t = 0; t < 9; t++)
        for (let i = 0; i < cols; i++) for (let j = 0; j < cols; j++) h[i * cols + j]! += x.data[t * cols + i]! * x.data[t * cols + j]!;
      const difference = matrix(
        rows,
        cols,
        weight.data.map((value, i) => value - quantized.data[i]!),
      );
      const square = (m: Matrix) => m.data.reduce((sum, value) => sum + value * value, 0);
      expect(Math.abs((weightError(weight, quantized) * square(weight)) / square(difference) - 1)).toBeLessThan(1e-5);
      const expected = square(linear(x, difference)) / square(linear(x, weight));
      expect(Math.abs(outputError(weight, quantized, h, algebra) / expected - 1)).toBeLessThan(1e-4);
    }),
    { numRuns: 50 },
  );
  expect(weightError(matrix(2, 2), matrix(2, 2))).toBe(0);
  expect(outputError(matrix(2, 2), matrix(2, 2), new Float64Array(4), algebra)).toBe(0);
});
