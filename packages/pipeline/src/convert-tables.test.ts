import { mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createModelDirectory, openModelDirectory } from '@fewbit/checkpoint';
import { compressedTensors, fewbit, type IntSpec, type Layout } from '@fewbit/formats';
import { referenceBackend } from '@fewbit/kernels';
import { rtn } from '@fewbit/rtn';
import { openWeights } from '@fewbit/runtime';
import { goldenModel, temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { convert, quantize } from './index.js';

const root = temporaryFolder();
const place = () => join(mkdtempSync(join(root, 'case-')), 'out');
const model = goldenModel('mistral').folder;
const int4: IntSpec = { kind: 'int', bits: 4, scheme: 'symmetric-full', granularity: { kind: 'group', size: 8 }, scaleType: 'F16' };

const converted = async (from: string, layout: Layout) => {
  const output = place();
  return { output, report: await convert({ model: from, output, layouts: [compressedTensors, fewbit], layout }) };
};

/** Type and bytes of all tensors, by name. */
async function tensors(path: string): Promise<Record<string, { dtype: string; hex: string }>> {
  const { checkpoint, close } = await openModelDirectory(path);
  const found: Awaited<ReturnType<typeof tensors>> = {};
  for (const name of [...checkpoint.tensors.keys()].sort()) {
    const { dtype, data } = await checkpoint.read(name);
    found[name] = { dtype, hex: Buffer.from(data).toString('hex') };
  }
  await close();
  return found;
}
const config = (path: string) => JSON.parse(readFileSync(join(path, 'config.json'), 'utf8')) as Record<string, unknown>;

describe('convert', () => {
  it('keeps embedding and head in codes in a layout that has a place for them, or that they are in', async () => {
    const first = place();
    await quantize({ model, output: first, method: rtn(), format: () => int4, layout: fewbit, backend: referenceBackend() });
    const same = await converted(first, fewbit);
    expect(same.report).toMatchObject({ exact: true, layers: 16, notes: [] });
    expect(await tensors(same.output)).toEqual(await tensors(first));
    expect(config(same.output)).toEqual(config(first));
    const { output: float, report } = await converted(first, compressedTensors);
    expect(report).toMatchObject({
      exact: true,
      layers: 14,
      notes: [
        expect.stringMatching(/^model\.embed_tokens was in int4 g8 .* in float now$/),
        expect.stringMatching(/^lm_head was in int4 g8/),
      ],
    });
    expect((await tensors(float))['lm_head.weight']?.dtype).toBe('F32');

    // a head in codes, as llm-compressor writes it where it is targeted
    const headed = place();
    const source = await openModelDirectory(float);
    const head = await openModelDirectory(first);
    const matrix = (await (await openWeights(head, [fewbit])).quantized('lm_head'))!;
    const writer = await createModelDirectory(headed);
    for (const name of source.checkpoint.tensors.keys())
      if (name !== 'lm_head.weight') await writer.write(name, await source.checkpoint.read(name));
    for (const [name, tensor] of compressedTensors.pack(matrix)) await writer.write(`lm_head.${name}`, tensor);
    const described = config(float).quantization_config as { config_groups: { group_0: object } };
    const groups = { group_0: { ...described.config_groups.group_0, targets: ['Linear', 'lm_head'] } };
    const quantization_config = { ...described, ignore: [], config_groups: groups };
    await writer.file('config.json', JSON.stringify({ ...source.config, quantization_config }));
    await writer.commit();
    await Promise.all([source.close(), head.close()]);
    const again = await converted(headed, compressedTensors);
    expect(again.report).toMatchObject({ exact: true, layers: 15, notes: [] });
    expect(await tensors(again.output)).toEqual(await tensors(headed));
    expect(config(again.output)).toEqual(config(headed));
  });
});
