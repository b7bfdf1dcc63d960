import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { embeddedModel, temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';

const root = temporaryFolder();
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const calibration = join(embeddedModel, 'calibration.jsonl');

/** The program in a process of its own, from its sources. */
function start(...argv: string[]) {
  const child = spawn(process.execPath, [here('../../../tooling/testkit/src/run-source.mjs'), here('../src/index.ts'), ...argv], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  return { child, output };
}

/** Resolves when what `stream` gave matches; fails when the process ends before. */
function until({ child, output }: ReturnType<typeof start>, stream: 'stdout' | 'stderr', pattern: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    child[stream].on('data', () => pattern.test(output[stream]) && resolve());
    child.once('close', (code) => reject(new Error(`The process ended with ${code}:\n${output.stderr}`)));
  });
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null) await once(child, 'close');
  return child.exitCode;
}

describe('the process', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('%s while it quantizes: exit 130, and neither output nor anything partial', async (signal) => {
    const folder = join(root, signal);
    mkdirSync(folder);
    const run = start(
      'quantize',
      embeddedModel,
      '-o',
      join(folder, 'new', 'out'),
      '--calibration',
      calibration,
      '--samples',
      '8',
      '--length',
      '64',
    );
    await until(run, 'stderr', /calibrate/);
    expect(readdirSync(join(folder, 'new'))).toEqual([expect.stringMatching(/^\.out\.partial-/)]);
    run.child.kill(signal);
    expect(await exitOf(run.child)).toBe(130);
    expect(run.output.stderr).toMatch(/\nfewbit: Stopped at .*: nothing was written\.\n$/);
    expect(run.output.stdout).toBe('');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('SIGINT while it generates: exit 130', async () => {
    const run = start('generate', embeddedModel, '--prompt', 'It was', '--max-tokens', '250', '--backend', 'reference');
    await until(run, 'stdout', /\w+/);
    run.child.kill('SIGINT');
    expect(await exitOf(run.child)).toBe(130);
    expect(run.output.stderr).toBe('fewbit: Generation stopped.\n');
  });

  it('a reader of stdout that leaves is no error', async () => {
    const run = start('generate', embeddedModel, '--prompt', 'It was', '--max-tokens', '250', '--backend', 'reference');
    await until(run, 'stdout', /\w+/);
    run.child.stdout.destroy();
    expect(await exitOf(run.child)).toBe(0);
    expect(run.output.stderr).toBe('');
  });

  it('a reader of stderr that leaves stops nothing', async () => {
    const run = start('quantize', embeddedModel, '-o', join(root, 'quiet'), '--method', 'rtn', '--json');
    run.child.stderr.destroy();
    expect(await exitOf(run.child)).toBe(0);
    expect(JSON.parse(run.output.stdout)).toMatchObject({ output: join(root, 'quiet') });
    expect(readdirSync(join(root, 'quiet'))).toContain('model.safetensors');
  });
});
