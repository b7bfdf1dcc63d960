import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { platformPackage } from '../src/find-addon.js';
import { npmRegistry } from './npm-registry.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const kernels = join(root, 'kernels/cpu');
const isBuilt = existsSync(join(kernels, 'native/build/Release/fewbit_cpu.node'));
const program = `
import { cpuProbe } from '@fewbit/kernels-cpu';
const backend = await cpuProbe({ threads: 2 });
if ('unavailable' in backend) console.log(JSON.stringify(backend));
else {
  const [x, w] = [backend.upload(new Float32Array(8).fill(1), [2, 4]), backend.upload(new Float32Array(12).fill(2), [3, 4])];
  const product = [...(await backend.download(backend.ops.matmul(x, w)))];
  const { sharedObjects } = process.report.getReport();
  console.log(JSON.stringify({ product, binary: sharedObjects.find((path) => path.endsWith('fewbit_cpu.node')) }));
  await backend.close();
}`;

describe.skipIf(!isBuilt || process.platform === 'win32')('the package of prebuilt kernels (needs a build, and is made on POSIX)', () => {
  it('is what an installed @fewbit/kernels-cpu uses; a bad one is refused, and takes nobody down', async () => {
    const folder = temporaryFolder();
    const [tarballs, app] = ['tarballs', 'app'].map((name) => join(folder, name)) as [string, string];
    for (const path of [tarballs, app]) mkdirSync(path);
    const path = [join(root, '.cache/pnpm/node_modules/.bin'), join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter);
    const run = async (cwd: string, command: string, ...words: string[]) => {
      // without NODE_PATH, by which `npx vitest` would let the app find this workspace's packages
      const env = { ...process.env, NODE_PATH: '', PATH: path, TMPDIR: folder, TURBO_TELEMETRY_DISABLED: '1' };
      return (await promisify(execFile)(command, words, { cwd, env })).stdout;
    };

    await run(root, 'turbo', 'run', 'build', '--filter=@fewbit/kernels-cpu...');
    for (const name of ['packages/core', 'packages/formats', 'packages/kernels', 'kernels/cpu'])
      await run(join(root, name), 'pnpm', 'pack', '--pack-destination', tarballs);
    const prebuilt = join(folder, 'prebuilt');
    await run(kernels, process.execPath, 'package-native.mjs', prebuilt);
    await run(prebuilt, 'npm', 'pack', '--pack-destination', tarballs);
    const manifest = JSON.parse(readFileSync(join(prebuilt, 'package.json'), 'utf8'));
    const foreign = { ...manifest, name: '@fewbit/kernels-cpu-darwin-x64', os: ['aix'], libc: undefined };
    writeFileSync(join(prebuilt, 'package.json'), JSON.stringify(foreign));
    await run(prebuilt, 'npm', 'pack', '--pack-destination', tarballs);

    const registry = await npmRegistry(readdirSync(tarballs).map((name) => join(tarballs, name)));
    try {
      writeFileSync(join(app, 'package.json'), '{ "private": true, "type": "module" }');
      writeFileSync(join(folder, 'npmrc'), '');
      const places = ['--registry', registry.url, '--cache', join(folder, 'cache'), '--userconfig', join(folder, 'npmrc')];
      await run(app, 'npm', 'install', '@fewbit/kernels-cpu', ...places, '--no-audit', '--no-fund', '--no-update-notifier');
    } finally {
      registry.close();
    }
    const installed = readdirSync(join(app, 'node_modules/@fewbit'));
    expect(installed).toEqual(['core', 'formats', 'kernels', 'kernels-cpu', platformPackage().slice('@fewbit/'.length)]);
    expect(existsSync(join(app, 'node_modules/@fewbit/kernels-cpu/native/build'))).toBe(false);

    writeFileSync(join(app, 'use.js'), program);
    const use = async () => JSON.parse(await run(app, process.execPath, 'use.js')) as Record<string, unknown>;
    const binary = join(app, 'node_modules', platformPackage(), 'fewbit_cpu.node');
    expect(await use()).toEqual({
      product: new Array(6).fill(8),
      binary: expect.stringContaining(join('node_modules', platformPackage())),
    });

    truncateSync(binary, readFileSync(binary).length >> 1);
    expect(await use()).toEqual({ unavailable: expect.stringMatching(/^the binary .*fewbit_cpu\.node failed its trial: ./) });

    rmSync(binary);
    expect(await use()).toEqual({ unavailable: expect.stringContaining(`install ${platformPackage()}`) });

    const build = 'node_modules/@fewbit/kernels-cpu/build-native.mjs';
    await expect(run(app, process.execPath, build)).rejects.toThrow('install node-gyp and node-addon-api first');
    // with them it compiles: that takes minutes, so here they are but found
    for (const [name, main] of [
      ['node-gyp', 'bin/node-gyp.js'],
      ['node-addon-api', 'index.js'],
    ] as const) {
      mkdirSync(join(app, 'node_modules', name, 'bin'), { recursive: true });
      writeFileSync(join(app, 'node_modules', name, 'package.json'), '{}');
      writeFileSync(join(app, 'node_modules', name, main), "console.log('asked to', process.argv.slice(2, 4).join(' '));");
    }
    expect(await run(app, process.execPath, build)).toContain('asked to rebuild --directory');
  }, 300_000);
});
