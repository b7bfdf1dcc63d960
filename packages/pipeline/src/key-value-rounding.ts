import { gather, inputHistogram, type Observer, staticParams } from '@fewbit/calibration';
import { type Matrix, matrix } from '@fewbit/core';
import type { ActivationSpec, KeyValueRounding } from '@fewbit/formats';
import type { BlockPlan } from '@fewbit/models';
import { keysAndValues, type StageContext } from '@fewbit/runtime';
import { download, upload } from './place.js';
import type { SequenceState } from './sequence-state.js';

const histogram = inputHistogram();

/**
 * How the keys and values of a block are rounded: static scales cover those that the sequences bring, whose state is the input of the
 * block's attention, through the weights of `context`.
 */
export async function keyValueRounding(
  block: BlockPlan,
  spec: ActivationSpec,
  sequences: readonly { readonly quantized: SequenceState }[],
  context: Omit<StageContext, 'sequences'>,
  observer: Observer,
): Promise<KeyValueRounding> {
  if (spec.scaling === 'dynamic') return { keys: { spec }, values: { spec } };
  const { backend } = context;
  const { keyValueHeads, headSize } = block.attention;
  const parts = spec.perHead ? keyValueHeads : 1;
  const size = (keyValueHeads / parts) * headSize;
  const gatherings = () => Array.from({ length: parts }, () => gather([histogram], size, backend.algebra));
  const gathering = { keys: gatherings(), values: gatherings() };
  for (const { quantized } of sequences) {
    const input = upload(backend, await quantized.input.read());
    const found = backend.step(() => ({
      ...keysAndValues(block, input, { ...context, sequences: [{ rows: input.shape[0]!, start: 0 }] }),
    }));
    for (const which of ['keys', 'values'] as const) {
      const all = await download(backend, found[which]);
      for (const [part, one] of gathering[which].entries()) one.add({ input: columns(all, part * size, size) });
      backend.free(found[which]);
    }
    backend.free(input);
  }
  const rounding = (which: 'keys' | 'values') => {
    const params = gathering[which].map((one) => staticParams(one.measured().get(histogram), spec.format, observer));
    return { spec, params: spec.perHead ? params : params[0] };
  };
  return { keys: rounding('keys'), values: rounding('values') };
}

function columns({ rows, cols, data }: Matrix, from: number, count: number): Matrix {
  if (count === cols) return matrix(rows, cols, data);
  const part = matrix(rows, count);
  for (let row = 0; row < rows; row++) part.data.set(data.subarray(row * cols + from, row * cols + from + count), row * count);
  return part;
}
