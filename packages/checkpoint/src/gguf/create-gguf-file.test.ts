import { join } from 'node:path';
import { fewbitError, goldenModel, temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { checkGguf, createGgufFile, createModelDirectory, type ModelDirectory, openGguf, openModelDirectory } from '../index.js';

const folder = temporaryFolder();

describe('createGgufFile', () => {
  it('takes the tensors of the first GPT-2, which have no prefix, in any type', async () => {
    const path = join(folder, 'first-gpt2');
    const writer = await createGgufFile(path);
    await writer.write('wte.weight.q4_0', { dtype: 'U8', shape: [64, 18], data: new Uint8Array(64 * 18) });
    await writer.write('ln_f.weight', { dtype: 'F32', shape: [32], data: new Uint8Array(128) });
    await writer.file('config.json', JSON.stringify({ ...goldenModel('gpt2').config(), n_embd: 32, n_head: 4 }));
    await writer.commit();
    const file = await openGguf(join(path, 'model.gguf'));
    expect([...file.tensors.values()].map(({ name, type }) => [name, type])).toEqual([
      ['token_embd.weight', 'q4_0'],
      ['output_norm.weight', 'F32'],
    ]);
    await file.close();
  });

  it('refuses at the end what checkGguf refuses beforehand', async () => {
    const writer = await createGgufFile(join(folder, 'gemma2-refused'));
    await writer.file('config.json', JSON.stringify(goldenModel('gemma2').config()));
    const refusal = fewbitError('unsupported', /llama\.cpp has another scale of the attention scores for gemma2/);
    await expect(writer.commit()).rejects.toEqual(refusal);
    await writer.abort();
    const directory = await openModelDirectory(goldenModel('gemma2').folder);
    await expect(checkGguf(directory)).rejects.toEqual(refusal);
    await directory.close();
  });

  it('leaves out what llama.cpp computes by itself, and refuses a tensor without a place: beforehand too', async () => {
    const write = async (name: string, extra: string) => {
      const path = join(folder, name);
      const from = await openModelDirectory(goldenModel('llama').folder);
      const writer = await createModelDirectory(path);
      for (const tensor of from.checkpoint.tensors.keys()) await writer.write(tensor, await from.checkpoint.read(tensor));
      await writer.write(extra, { dtype: 'F32', shape: [4], data: new Uint8Array(16) });
      await writer.file('config.json', JSON.stringify(from.config));
      await writer.commit();
      await from.close();
      return openModelDirectory(path);
    };
    const throughFile = async ({ checkpoint, config }: ModelDirectory, name: string) => {
      const writer = await createGgufFile(join(folder, name));
      for (const tensor of checkpoint.tensors.keys()) await writer.write(tensor, await checkpoint.read(tensor));
      await writer.file('config.json', JSON.stringify(config));
      await writer.commit().catch(async (error) => {
        await writer.abort();
        throw error;
      });
    };
    const old = await write('old', 'model.layers.0.self_attn.rotary_emb.inv_freq');
    await checkGguf(old);
    await throughFile(old, 'old-gguf');
    const strange = await write('strange', 'model.layers.0.self_attn.sinks');
    const refusal = fewbitError(
      'unsupported',
      /^Tensor "model\.layers\.0\.self_attn\.sinks" has no place in a GGUF file of architecture llama/,
    );
    await expect(checkGguf(strange)).rejects.toEqual(refusal);
    await expect(throughFile(strange, 'strange-gguf')).rejects.toEqual(refusal);
    const byteLevel = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };
    const model = { type: 'BPE', vocab: { a: 0 }, merges: [] };
    const tokenizer = JSON.stringify({ model, pre_tokenizer: byteLevel, decoder: byteLevel });
    const text: ModelDirectory['text'] = async (name) => (name === 'tokenizer.json' ? tokenizer : undefined);
    await expect(checkGguf({ ...old, text })).rejects.toEqual(fewbitError('unsupported', /model\.merges is empty; llama\.cpp loads no/));
    await Promise.all([old.close(), strange.close()]);
  });
});
