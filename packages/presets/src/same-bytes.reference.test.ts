import { join } from 'node:path';
import { openModelDirectory } from '@fewbit/checkpoint';
import { referenceBackend } from '@fewbit/kernels';
import { shared, temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { quantizePretrained } from './quantize-pretrained.js';

const folder = temporaryFolder();

/** What RTN of ours writes byte for byte as llm-compressor does; a tensor scale that fused layers share may differ by a unit in the last place. */
describe.skipIf(!shared('peers'))('the codes and scales of llm-compressor', () => {
  it.each([
    ['llmc-baby-nvfp4a16', 'nvfp4'],
    ['llmc-baby-mxfp4a16', 'mxfp4'],
  ])('%s', async (peer, format) => {
    const output = join(folder, peer);
    await quantizePretrained({ model: shared('models/babyllama-1m')!, output, method: 'rtn', format }, { backend: referenceBackend() });
    const [ours, theirs] = [await openModelDirectory(output), await openModelDirectory(shared(`peers/${peer}`)!)];
    const names = [...theirs.checkpoint.tensors.keys()].filter((name) => /\.weight_(packed|scale)$/.test(name));
    expect(names.length).toBe(70); // two tensors of each of 7 linears in 5 blocks
    for (const name of names) expect(await ours.checkpoint.read(name), name).toEqual(await theirs.checkpoint.read(name));
    await ours.close();
    await theirs.close();
  });
});
