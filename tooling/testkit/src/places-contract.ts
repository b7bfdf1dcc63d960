import { expect, it } from 'vitest';
import { atOnce, random } from '../../../packages/core/src/index.js';
import type { IntSpec, QuantizedMatrix } from '../../../packages/formats/src/index.js';
import type { Backend } from '../../../packages/kernels/src/index.js';
import type { NeedForms, Product } from './weights-contract.js';

const widths = [2, 3, 4, 5, 6, 7, 8] as const;
/** Whole and broken runs of 32 inputs, whole and broken halves of them. */
const groups = [16, 20, 32, 36, 48, 64, 80, 96, 112, 128];
const rows = 11;

/** Part of the weights contract: codes are where products look for them, whatever their width, the length of groups and the number of tokens. */
export function placesContract(backends: () => readonly Backend[], product: Product, needForms: NeedForms): void {
  it.for([
    ['int16', 32767],
    ['int8', 127],
  ] as const)(
    'products of whole numbers by codes of every width are exact, with %s activations',
    async ([activations, limit], { skip }) => {
      needForms(skip, activations);
      for (const bits of widths) {
        for (const group of groups) {
          const codes = someCodes(bits, group);
          for (const m of [1, 3, 9, 30]) {
            const x = wholeNumbers(m, codes.cols, group, limit);
            const want = exactProduct(x, codes, m);
            for (const backend of backends()) {
              const got = await product(backend, ({ weights }) => atOnce(weights!.upload(codes, { activations })), x, undefined, m);
              const worst = want.reduce((most, value, i) => Math.max(most, Math.abs(got[i]! - value)), 0);
              // sums reach 2²⁴, where float32 has steps of 2
              expect(worst, `${bits} bits in groups of ${group}, ${m} tokens`).toBeLessThanOrEqual(4);
            }
          }
        }
      }
    },
  );
}

/** Codes of rows with different zero points, whose scales are 1; the last group is shorter than the others. */
function someCodes(bits: IntSpec['bits'], group: number): QuantizedMatrix {
  const { uniform } = random(bits);
  const cols = 2 * group + 13;
  const params = Array.from({ length: rows * 3 }, (_, i) => ({ scale: 1, zero: Math.floor(i / 3) % 2 ** bits }));
  const spec = { kind: 'int', bits, scheme: 'asymmetric', granularity: { kind: 'group', size: group }, scaleType: 'F32' } as const;
  return { rows, cols, spec, params, codes: Uint8Array.from({ length: rows * cols }, () => Math.floor(uniform() * 2 ** bits)) };
}

/** x that rounding keeps as it is: one number of each group, by turns negative, is the largest that there is. */
function wholeNumbers(m: number, cols: number, group: number, limit: number): Float32Array {
  return Float32Array.from({ length: m * cols }, (_, i) => {
    const [token, column] = [Math.floor(i / cols), i % cols];
    if (column % group === (token * 5) % 13) return Math.floor(column / group) % 2 === 0 ? limit : -limit;
    return ((i * 7) % 13) - 6;
  });
}

function exactProduct(x: Float32Array, { cols, codes, params }: QuantizedMatrix, m: number): Float64Array {
  return Float64Array.from({ length: m * rows }, (_, i) => {
    const [token, row] = [Math.floor(i / rows), i % rows];
    const { zero } = params.at(row * 3) as { zero: number };
    let sum = 0;
    for (let j = 0; j < cols; j++) sum += (codes[row * cols + j]! - zero) * x[token * cols + j]!;
    return sum;
  });
}
