import { copyCompanions, createModelDirectory, openModelDirectory } from '@fewbit/checkpoint';

/** Writes a model of the first `count` blocks of another. */
export async function writeFirstBlocks(path: string, output: string, count: number): Promise<void> {
  const from = await openModelDirectory(path);
  const writer = await createModelDirectory(output);
  for (const name of from.checkpoint.tensors.keys()) {
    if (Number(/\.layers\.(\d+)\./.exec(name)?.[1] ?? 0) < count) await writer.write(name, await from.checkpoint.read(name));
  }
  await writer.file('config.json', JSON.stringify({ ...from.config, num_hidden_layers: count }));
  await copyCompanions(from, writer);
  await writer.commit();
  await from.close();
}
