import type { ActivationRounding } from '@fewbit/formats';
import type { Algebra, Backend, DeviceTensor, Draw, Ops } from '@fewbit/kernels';
import type { ModelPlan } from '@fewbit/models';
import { randomMatrix } from './synthetic-weights.js';

/** One op over one shape, ready to run. */
export interface KernelCase {
  readonly op: keyof Ops | keyof Algebra | 'upload';
  readonly shape: string;
  /** Of the weight, or of the pages. */
  readonly format?: string;
  /** What `work` counts of one run: bytes that must be read and written, or floating-point operations. */
  readonly unit: 'GB/s' | 'GFLOP/s';
  readonly work: number;
  /** Times that one run goes through the shape, each in other memory; default 1. */
  readonly copies?: number;
  run(): void;
  free(): void;
}

/**
 * Every op but products with weights (matmul-cases.ts) and what meets pages (page-cases.ts), over the shapes that a prompt of m tokens meets in `plan`, or would meet in
 * a model of its size that has the op.
 */
export function opCases(backend: Backend, plan: ModelPlan, m: number): (() => KernelCase)[] {
  const { ops } = backend;
  const { hidden, vocabulary, blocks } = plan;
  const [{ attention, mlp }] = blocks as [(typeof blocks)[number]];
  const { heads, keyValueHeads, headSize, rotary } = attention;
  const width = heads * headSize;
  const keysWidth = keyValueHeads * headSize;
  const wide = mlp.down.cols;
  const few = Math.min(m, 16);
  // no more of a vocabulary than caches hold many times over
  const tableRows = Math.min(vocabulary, Math.ceil(64e6 / (4 * hidden)));
  const tokens = Uint32Array.from({ length: m }, (_, i) => (i * 7919) % tableRows);

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
    on('layerNorm', 'GB/s', 8 * m * hidden, [[m, hidden], [hidden]], ([x, gain]) => ops.layerNorm(x!, gain!, gain!, 1e-5)), // prettier-ignore
    on('roundActivations', 'GB/s', 8 * m * hidden, [[m, hidden]], ([x]) => ops.roundActivations(x!, int8)),
    on('embed', 'GB/s', 8 * m * hidden, [[tableRows, hidden]], ([table]) => ops.embed(table!, tokens)),
    on('rotate', 'GB/s', 8 * m * width, [[m, width]], ([x]) => ops.rotate(x!, headSize, rotary!, 0)),
    on('activate', 'GB/s', 8 * m * wide, [[m, wide]], ([x]) => ops.activate(x!, 'gelu')),
    on('scale', 'GB/s', 8 * m * hidden, [[m, hidden]], ([x]) => ops.scale(x!, Math.sqrt(hidden))),
    // the keys out of one product for queries, keys and values
    on('columns', 'GB/s', 8 * m * keysWidth, [[m, width + 2 * keysWidth]], ([x]) => ops.columns(x!, width, keysWidth)),
    on('rows', 'GB/s', 8 * hidden, [[m, hidden]], ([x]) => ops.rows(x!, m - 1, 1)),
    on('softcap', 'GB/s', 8 * few * vocabulary, [[few, vocabulary]], ([logits]) => ops.softcap(logits!, 30)),
    on('crossEntropy', 'GB/s', 4 * few * vocabulary, [[few, vocabulary]], ([logits]) => ops.crossEntropy(logits!, new Uint32Array(few))),
    on('sample', 'GB/s', 4 * vocabulary, [[1, vocabulary]], ([logits]) => ops.sample(logits!, [draw])),
  ];
}

/** With the filters that people use. Random logits spread by 0.02: at this temperature they are drawn from as those that spread by 2 are at 0.8. */
const draw: Draw = { uniform: 0.5, temperature: 0.008, topK: 40, topP: 0.95 };

const int8: ActivationRounding = {
  spec: {
    format: { kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F32' },
    scaling: 'dynamic',
  },
};

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
      const h = new Float64Array(hidden * hidden).fill(0.5);
      for (let i = 0; i < hidden; i++) h[i * hidden + i] = 2;
      const b = Float64Array.from(randomMatrix(block, hidden, 1).data);
      const work = hidden ** 3 / 3 + 2 * block * hidden ** 2;
      return host('solve', work, `${hidden}×${hidden} ${block}×${hidden}`, () => algebra.solve(h, hidden, b, block));
    },
    () => {
      const [a, b] = [[hidden, block] as const, [block, wide] as const].map(([rows, cols]) =>
        Float64Array.from(randomMatrix(rows, cols, 1).data),
      ) as [Float64Array, Float64Array];
      return host('product', 2 * hidden * block * wide, `${hidden}×${block} ${block}×${wide}`, () =>
        algebra.product(a, b, hidden, block, wide),
      );
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
