import { copyCompanions, createModelDirectory, openModelDirectory } from '@fewbit/checkpoint';
import { fromIntegers } from '@fewbit/core';

/** Copies a GPTQ checkpoint and gives its columns groups in turn (`g_idx`), as files of act-order without static groups have them: Fewbit rounds none so. */
export async function copyWithOtherGroups(path: string, output: string): Promise<void> {
  const from = await openModelDirectory(path);
  const writer = await createModelDirectory(output);
  for (const [name, { shape }] of from.checkpoint.tensors) {
    const tensor = await from.checkpoint.read(name);
    await writer.write(name, name.endsWith('.g_idx') ? inTurn(tensor.data, shape) : tensor);
  }
  const quantization = from.config.quantization_config as Record<string, unknown>;
  await writer.file('config.json', JSON.stringify({ ...from.config, quantization_config: { ...quantization, desc_act: true } }));
  await copyCompanions(from, writer);
  await writer.commit();
  await from.close();
}

/** The same number of columns in each group, where groups are whole. */
function inTurn({ buffer, byteOffset, byteLength }: Uint8Array, shape: readonly number[]) {
  const groups = new Int32Array(buffer.slice(byteOffset, byteOffset + byteLength));
  const count = groups.at(-1)! + 1;
  return fromIntegers(
    groups.map((_, column) => column % count),
    shape,
  );
}
