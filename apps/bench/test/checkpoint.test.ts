import { join } from 'node:path';
import { temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { checkpointDocument, modelDocument } from '../src/documents.js';
import { fewbitBench, fewbitBenchJson } from './capture.js';

describe('fewbit-bench checkpoint', () => {
  const root = temporaryFolder();
  const small = ['--rounds', '1', '--prompt', '8', '--generate', '2', '--stream', '4', '--peer', 'none'];

  it('writes random weights of a shape, which are measured as any checkpoint', async () => {
    const output = join(root, 'tiny');
    const written = checkpointDocument.parse(await fewbitBenchJson('checkpoint', '--shape', 'tiny', '--format', 'int3', '-o', output));
    const [linears, head] = [2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 192 * 64), 512 * 64];
    const codes = (linears * 3 + head * 8) / 8;
    const [scales, zeros] = [((linears + head) / 32) * 2, ((linears / 32) * 3) / 8];
    const [embedding, norms] = [head * 2, 5 * 64 * 2];
    const shapes = 8 * 2 * (2 * 7 + 1);
    expect(written).toEqual({ output, shape: 'tiny', format: 'int3', bytes: codes + scales + zeros + embedding + norms + shapes });
    const { rows, eventLoopLag } = modelDocument.parse(
      await fewbitBenchJson('model', output, '--backend', 'wasm', '--what', 'decode', ...small),
    );
    expect(rows).toMatchObject([{ shape: output, format: 'int3', group: 32, activations: 'int16' }]);
    expect(Object.keys(eventLoopLag).sort()).toEqual(['decode', 'load']);
  });

  it.each([
    [['--shape', 'tiny'], "required option '-o, --output <directory>' not specified"],
    [['--shape', 'gpt-5', '-o', join(root, 'x')], 'Unknown shape "gpt-5"'],
    [['--shape', 'tiny', '--format', 'nf4', '-o', join(root, 'x')], 'compressed-tensors has no nf4'],
  ])('refuses %j', async (flags, message) => {
    const { code, stderr } = await fewbitBench('checkpoint', ...flags);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });
});
