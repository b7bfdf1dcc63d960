import { fewbitError, floatSafetensors } from '@fewbit/testkit';
import { expect, it } from 'vitest';
import { openModelFiles } from './open-model-files.js';

const text = (content: unknown) => new Blob([typeof content === 'string' ? content : JSON.stringify(content)]);
const shard = (...names: string[]) =>
  new Blob([floatSafetensors(Object.fromEntries(names.map((name, i) => [name, { shape: [2], data: Float32Array.of(i, i + 0.5) }])))]);

it('opens one file of weights: config, tensors, texts and the names of companions', async () => {
  const files = { 'config.json': text({ model_type: 'llama' }), 'model.safetensors': shard('a'), 'tokenizer.json': text('{"é":1}') };
  const opened = await openModelFiles(files);
  expect(opened.config).toEqual({ model_type: 'llama' });
  expect(new Float32Array((await opened.checkpoint.read('a')).data.buffer)).toEqual(Float32Array.of(0, 0.5));
  expect(await opened.text('tokenizer.json')).toBe('{"é":1}');
  expect(await opened.text('absent.json')).toBeUndefined();
  expect(opened.companions).toEqual(['tokenizer.json']);
  await opened.close();
});

it('opens shards by their index', async () => {
  const [first, second] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const index = { weight_map: { a: first, c: second, b: first } };
  const files = { 'config.json': text({}), 'model.safetensors.index.json': text(index), [first]: shard('a', 'b'), [second]: shard('c') };
  const opened = await openModelFiles(files, 'chosen');
  expect(new Float32Array((await opened.checkpoint.read('b')).data.buffer)).toEqual(Float32Array.of(1, 1.5));
  const { [second]: _, ...without } = files;
  await expect(openModelFiles(without, 'chosen')).rejects.toMatchObject(fewbitError('checkpoint', /chosen lacks 1 of 2 shards/));
});

it('refuses files without config.json, and names a file that is cut', async () => {
  await expect(openModelFiles({ 'model.safetensors': shard('a') })).rejects.toMatchObject(
    fewbitError('config', /model has no config.json/),
  );
  const cut = { 'config.json': text({}), 'model.safetensors': shard('a').slice(0, -1) };
  await expect(openModelFiles(cut)).rejects.toMatchObject(fewbitError('checkpoint', /model\/model.safetensors/));
});
