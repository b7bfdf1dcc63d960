import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fewbitError, floatSafetensors, temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { openModelDirectory } from './open-model-directory.js';

const root = temporaryFolder();

/** A directory with these files; values that are not text or bytes are written as JSON. */
function directory(files: Readonly<Record<string, unknown>>): string {
  const path = mkdtempSync(join(root, 'model-'));
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(path, name), typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content));
  }
  return path;
}

const shard = (...names: string[]) =>
  floatSafetensors(Object.fromEntries(names.map((name, i) => [name, { shape: [2], data: Float32Array.of(i, i + 0.5) }])));
const [first, second] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
const index = 'model.safetensors.index.json';
const sharded = { 'config.json': {}, [first!]: shard('a', 'b'), [second!]: shard('c') };
const mapped = (weight_map: unknown) => ({ ...sharded, [index]: { metadata: {}, weight_map } });

describe('openModelDirectory', () => {
  it('reads one file: config, tensors, texts and the names of companions', async () => {
    const files = { 'config.json': { model_type: 'llama' }, 'model.safetensors': shard('a'), 'tokenizer.json': '{"é":1}' };
    const opened = await openModelDirectory(directory({ ...files, 'README.md': 'a card', LICENSE: 'free', 'merges.txt': '' }));
    expect(opened.config).toEqual({ model_type: 'llama' });
    expect(new Float32Array((await opened.checkpoint.read('a')).data.buffer)).toEqual(Float32Array.of(0, 0.5));
    expect(await opened.text('tokenizer.json')).toBe('{"é":1}');
    expect(await opened.text('absent.json')).toBeUndefined();
    expect(opened.companions).toEqual(['LICENSE', 'merges.txt', 'tokenizer.json']);
    await opened.close();
  });

  it('reads shards by the index', async () => {
    const opened = await openModelDirectory(directory(mapped({ a: first, c: second, b: first })));
    expect([...opened.checkpoint.tensors.keys()]).toEqual(['a', 'c', 'b']);
    expect(new Float32Array((await opened.checkpoint.read('b')).data.buffer)).toEqual(Float32Array.of(1, 1.5));
    await expect(opened.checkpoint.read('d')).rejects.toThrow(fewbitError('checkpoint', /index\.json has no tensor "d": it has "/));
    await opened.close();
  });

  it('follows links to files, of which the cache of the hub is made', async () => {
    const path = directory({ 'config.json': {} });
    symlinkSync(join(directory({ blob: shard('a') }), 'blob'), join(path, 'model.safetensors'));
    const opened = await openModelDirectory(path);
    expect([...opened.checkpoint.tensors.keys()]).toEqual(['a']);
    await opened.close();
  });

  const weights = { 'model.safetensors': shard('a') };
  const refused: [what: string, files: Record<string, unknown>, code: string, message: RegExp][] = [
    ['no config.json', weights, 'config', /has no config\.json: give the directory/],
    ['a config.json that is no JSON', { ...weights, 'config.json': '{' }, 'config', /config\.json is not JSON/],
    ['a config.json that is a list', { ...weights, 'config.json': [1] }, 'config', /config\.json must be a JSON object, got \[1\]/],
    ['a config.json that is not UTF-8', { ...weights, 'config.json': Uint8Array.of(0xff) }, 'config', /config\.json is not UTF-8/],
    ['a config.json nested too deep', { ...weights, 'config.json': `{"a":${'['.repeat(1e5)}${']'.repeat(1e5)}}` }, 'config', /100 deep/],
    ['no weights', { 'config.json': {} }, 'checkpoint', /neither model\.safetensors nor .*it has no weights at all/],
    [
      'pickled weights',
      { 'config.json': {}, 'pytorch_model.bin': '' },
      'checkpoint',
      /it has "pytorch_model\.bin"\. Save the model as safetensors/,
    ],
    ['an empty weight file', { 'config.json': {}, 'model.safetensors': '' }, 'checkpoint', /model\.safetensors: .*this one has 0 bytes/],
    ['an index that is no JSON', { ...sharded, [index]: 'x' }, 'checkpoint', /index\.json is not JSON/],
    ['an index without map', { ...sharded, [index]: {} }, 'checkpoint', /weight_map must be an object, got undefined/],
    ['an index with a list', mapped([first]), 'checkpoint', /weight_map must be an object/],
    ['an empty map', mapped({}), 'checkpoint', /weight_map names no tensor/],
    [
      'a tensor in two shards',
      { ...sharded, [index]: `{"weight_map":{"a":"${first}","a":"${second}"}}` },
      'checkpoint',
      /key "a" is given twice/,
    ],
    ['a missing shard', mapped({ a: first, z: 'gone.safetensors' }), 'checkpoint', /lacks 1 of 2 shards \("gone\.safetensors"\)/],
    [
      'a tensor placed in a shard that lacks it',
      mapped({ a: first, b: second }),
      'checkpoint',
      /places "b" in model-00002.*which does not have it/,
    ],
    ['a damaged shard', { ...mapped({ a: first, c: second }), [second!]: 'damaged!' }, 'checkpoint', /model-00002-of-00002\.safetensors: /],
  ];
  it.each(refused)('refuses %s', async (_, files, code, message) => {
    const path = directory(files);
    await expect(openModelDirectory(path)).rejects.toThrow(fewbitError(code, message));
    await expect(openModelDirectory(path)).rejects.toThrow(path);
  });

  it.each([
    '../x.safetensors',
    '/etc/x.safetensors',
    'sub/x.safetensors',
    '..\\x.safetensors',
    'C:\\x.safetensors',
    '.safetensors',
    '..',
    'x.bin',
    '',
    7,
    null,
  ])('refuses %j as the place of a shard', async (place) => {
    const message = /index\.json: "a" is said to be in .*; a shard is a \.safetensors file beside the index/;
    await expect(openModelDirectory(directory(mapped({ a: place })))).rejects.toThrow(fewbitError('checkpoint', message));
  });

  it('refuses what is no directory, and weights that are no file', async () => {
    await expect(openModelDirectory(join(root, 'nowhere'))).rejects.toThrow(
      fewbitError('checkpoint', /nowhere is not a model directory.*ENOENT/),
    );
    const file = join(directory({ x: '' }), 'x');
    await expect(openModelDirectory(file)).rejects.toThrow(fewbitError('checkpoint', /is not a model directory.*ENOTDIR/));
    const path = directory({ 'config.json': {} });
    mkdirSync(join(path, 'model.safetensors'));
    await expect(openModelDirectory(path)).rejects.toThrow(fewbitError('checkpoint', /it has no weights at all/));
    const dangling = directory({ 'config.json': {} });
    symlinkSync(join(dangling, 'gone'), join(dangling, 'model.safetensors'));
    await expect(openModelDirectory(dangling)).rejects.toThrow(fewbitError('checkpoint', /model\.safetensors cannot be opened: ENOENT/));
  });
});
