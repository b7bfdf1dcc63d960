import type { Backend, DeviceTensor } from '@fewbit/kernels';
import { blockLinears, type ModelPlan } from '@fewbit/models';
import { noise } from './noise.js';
import type { Rates } from './rates.js';
import { rateOf } from './stopwatch.js';

/** What a forward pass of windows of `longest` tokens is made of, on the shapes of the model's first block, its widest matrices cut. */
export async function measureForward(
  plan: ModelPlan,
  backend: Backend,
  longest: number,
): Promise<Pick<Rates, 'product' | 'attention' | 'elementwise'>> {
  const { ops } = backend;
  const block = plan.blocks[0]!;
  const { heads, keyValueHeads, headSize, scale, rotary, window, softcap } = block.attention;
  const tokens = [8, 32, 128, 256].filter((count) => count <= Math.max(8, longest));
  const most = tokens.at(-1)!;
  const kept: DeviceTensor[] = [];
  const tensor = (rows: number, cols: number) => {
    const made = backend.upload(noise(rows * cols), [rows, cols]);
    kept.push(made);
    return made;
  };
  const run = async (body: () => DeviceTensor) => {
    const last = backend.step(() => ops.rows(body(), 0, 1));
    await backend.download(last);
    backend.free(last);
  };
  try {
    const widest = blockLinears(block).reduce((one, other) => (other.rows * other.cols > one.rows * one.cols ? other : one));
    const [rows, cols] = [Math.min(widest.rows, 1024), Math.min(widest.cols, 2048)];
    const weight = tensor(rows, cols);
    const input = tensor(most, cols);
    const product = await rateOf(
      tokens,
      (count) => count * rows * cols,
      (count) => run(() => ops.matmul(ops.rows(input, 0, count), weight)),
    );
    const queries = tensor(most, heads * headSize);
    const keys = tensor(most, keyValueHeads * headSize);
    const options = { heads, keyValueHeads, headSize, scale, start: 0, ...(window && { window }), ...(softcap && { softcap }) };
    const attention = await rateOf(
      tokens,
      (count) => count ** 2 * heads * headSize,
      (count) => {
        const cut = (all: DeviceTensor) => ops.rows(all, 0, count);
        return run(() => ops.attention(cut(queries), [cut(keys)], [cut(keys)], options));
      },
    );
    const inner = block.mlp.down.cols;
    const residual = tensor(most, plan.hidden);
    const gate = tensor(most, inner);
    const gain = backend.upload(noise(plan.hidden), [plan.hidden]);
    kept.push(gain);
    const elementwise = await rateOf(
      tokens,
      (count) => count * (4 * plan.hidden + 2 * heads * headSize + inner),
      (count) =>
        run(() => {
          const cut = (all: DeviceTensor) => ops.rows(all, 0, count);
          const turn = (all: DeviceTensor) => (rotary ? ops.rotate(all, headSize, rotary, 0) : all);
          turn(turn(cut(queries)));
          ops.gated(cut(gate), cut(gate), block.mlp.activation);
          const normed = () => ops.rmsNorm(cut(residual), gain, 1e-5, 0);
          return ops.add(ops.add(normed(), cut(residual)), normed());
        }),
    );
    return { product, attention, elementwise };
  } finally {
    for (const one of kept) backend.free(one);
  }
}
