import type { Algebra, Backend, DeviceTensor, Ops } from '@fewbit/kernels';
import type { ModelPlan } from '@fewbit/models';
import { randomMatrix } from './synthetic-weights.js';

/** One op over one shape, ready to run. */
export interface KernelCase {
  readonly op: keyof Ops | keyof Algebra;
  readonly shape: string;
  /** What `work` counts of one run: bytes that must be read and written, or floating-point operations. */
  readonly unit: 'GB/s' | 'GFLOP/s';
  readonly work: number;
  run(): void;
  free(): void;
}

/** Every op of a forward pass but the copies and the products with weights, over the shapes that a prompt of m tokens meets in `plan`. */
export function opCases(backend: Backend, plan: ModelPlan, m: number): (() => KernelCase)[] {
  const { ops } = backend;
  const { hidden, vocabulary, blocks } = plan;
  const [{ attention, mlp }] = blocks as [(typeof blocks)[number]];
  const { heads, keyValueHeads, headSize, scale, rotary } = attention;
  const width = heads * headSize;
  const keyWidth = keyValueHeads * headSize;
  const wide = mlp.down.cols;
  const few = Math.min(m, 16);
  const options = { heads, keyValueHeads, headSize, scale };

  const on =
    (op: keyof Ops, unit: KernelCase['unit'], work: number, shapes: readonly number[][], body: (tensors: DeviceTensor[]) => unknown) =>
    (): KernelCase => {
      const tensors = shapes.map((shape, seed) => upload(backend, shape, seed));
      return {
        ...{ op, unit, work, shape: shapes.map((shape) => shape.join('×')).join(' ') },
        run: () => backend.step(() => void body(tensors)),
        free() {
          for (const tensor of tensors) backend.free(tensor);
        },
      };
    };

  return [
    on(
      'add',
      'GB/s',
      12 * m * hidden,
      [
        [m, hidden],
        [m, hidden],
      ],
      ([a, b]) => ops.add(a!, b!),
    ), // prettier-ignore
    on('rmsNorm', 'GB/s', 8 * m * hidden, [[m, hidden], [hidden]], ([x, gain]) => ops.rmsNorm(x!, gain!, 1e-5, 0)), // prettier-ignore
    on(
      'gated',
      'GB/s',
      12 * m * wide,
      [
        [m, wide],
        [m, wide],
      ],
      ([gate, up]) => ops.gated(gate!, up!, 'silu'),
    ), // prettier-ignore
    on('rotate', 'GB/s', 8 * m * width, [[m, width]], ([x]) => ops.rotate(x!, headSize, rotary!, 0)),
    on(
      'attention',
      'GFLOP/s',
      2 * width * m * (m + 1),
      [
        [m, width],
        [m, keyWidth],
        [m, keyWidth],
      ],
      ([q, k, v]) => ops.attention(q!, [k!], [v!], { ...options, start: 0 }),
    ), // prettier-ignore
    on(
      'attention',
      'GB/s',
      8 * m * keyWidth,
      [
        [1, width],
        [m, keyWidth],
        [m, keyWidth],
      ],
      ([q, k, v]) => ops.attention(q!, [k!], [v!], { ...options, start: m - 1 }),
    ), // prettier-ignore
    on('crossEntropy', 'GB/s', 4 * few * vocabulary, [[few, vocabulary]], ([logits]) => ops.crossEntropy(logits!, new Uint32Array(few))),
  ];
}

/** The algebra of the solvers, over the layers' inputs. Operations are those of the textbook: Cholesky n³/3, triangular inverse n³/3. */
export function algebraCases({ algebra }: Backend, { hidden, blocks }: ModelPlan, m: number): (() => KernelCase)[] {
  const wide = blocks[0]!.mlp.down.cols;
  const block = Math.min(128, hidden);
  const host = (op: keyof Algebra, work: number, shape: string, run: () => unknown): KernelCase => ({
    ...{ op, unit: 'GFLOP/s', work, shape, run },
    free: () => undefined,
  });
  return [
    () => {
      const x = randomMatrix(m, hidden, 1);
      const into = new Float64Array(hidden * hidden);
      return host('gram', m * hidden * (hidden + 1), `${m}×${hidden}`, () => algebra.gram(x, x, into));
    },
    () => {
      const h = new Float64Array(hidden * hidden).fill(0.5);
      for (let i = 0; i < hidden; i++) h[i * hidden + i] = 2;
      return host('inverseCholesky', (2 / 3) * hidden ** 3, `${hidden}×${hidden}`, () => algebra.inverseCholesky(h, hidden));
    },
    () => {
      const [a, b, c] = [[hidden, block] as const, [block, wide] as const, [hidden, wide] as const].map(([rows, cols]) =>
        Float64Array.from(randomMatrix(rows, cols, 1).data),
      ) as [Float64Array, Float64Array, Float64Array];
      const shape = { rows: hidden, k: block, n: wide, bRow: 0, cStart: 0 };
      return host('subtractProduct', 2 * hidden * block * wide, `${hidden}×${block} ${block}×${wide}`, () =>
        algebra.subtractProduct(c, a, b, shape),
      );
    },
  ];
}

export function upload(backend: Backend, shape: readonly number[], seed: number): DeviceTensor {
  const cols = shape.at(-1)!;
  const rows = shape.reduce((product, size) => product * size, 1) / cols;
  return backend.upload(randomMatrix(rows, cols, seed).data, shape);
}
