import { gather, inputHistogram, type Observer, staticParams } from '@fewbit/calibration';
import type { ActivationSpec, KeyValueRounding } from '@fewbit/formats';
import type { BlockPlan } from '@fewbit/models';
import { keysAndValues, type StageContext } from '@fewbit/runtime';
import { download, read, type SequenceState, upload } from './sequence-state.js';

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
  const gathering = {
    keys: gather([histogram], keyValueHeads * headSize, backend.algebra),
    values: gather([histogram], keyValueHeads * headSize, backend.algebra),
  };
  for (const { quantized } of sequences) {
    const input = upload(backend, await read(backend, quantized.input!));
    const found = backend.step(() => ({
      ...keysAndValues(block, input, { ...context, sequences: [{ rows: input.shape[0]!, start: 0 }] }),
    }));
    for (const which of ['keys', 'values'] as const) {
      gathering[which].add({ input: await download(backend, found[which]) });
      backend.free(found[which]);
    }
    backend.free(input);
  }
  const rounding = (which: 'keys' | 'values') => ({
    spec,
    params: staticParams(gathering[which].measured().get(histogram), spec.format, observer),
  });
  return { keys: rounding('keys'), values: rounding('values') };
}
