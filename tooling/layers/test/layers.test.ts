import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { layerViolations } from '../layer-violations.mjs';

const root = mkdtempSync(join(tmpdir(), 'fewbit-layers-'));
afterEach(() => rmSync(root, { recursive: true, force: true }));

it('this repository', () => {
  expect(layerViolations(fileURLToPath(new URL('../../../', import.meta.url)))).toEqual([]);
});

const layers = [
  { package: '@x/low', mayImport: [] },
  { package: '@x/high', mayImport: ['@x/low'] },
  { package: '@x/kit', testTool: true, mayImport: ['@x/low'] },
];
const house = {
  'package.json': { devDependencies: { vitest: '1' } },
  'tooling/layers/layers.json': layers,
  'packages/low/package.json': { name: '@x/low', exports: { '.': './src/index.ts' }, devDependencies: { '@x/kit': 'workspace:*' } },
  'packages/low/src/index.ts': "import { readFile } from 'node:fs/promises';\nexport * from './one.js';",
  'packages/low/src/one.test.ts': "import { it } from 'vitest'; import { kit } from '@x/kit';",
  'packages/high/package.json': { name: '@x/high', dependencies: { '@x/low': 'workspace:*', zod: '4' } },
  'packages/high/src/index.ts': "import { z } from 'zod';\nexport type { One } from '@x/low';",
  'tooling/kit/package.json': { name: '@x/kit', private: true, exports: { '.': './src/index.ts' } },
  'tooling/kit/src/index.ts': "import { one } from '../../../packages/low/src/index.js';",
};

it('a house in order', async () => {
  expect(await violations({})).toEqual([]);
});

const low = house['packages/low/package.json'];
const high = house['packages/high/package.json'];
const broken: Record<string, [change: Record<string, unknown>, violations: RegExp[]]> = {
  'an import that goes down': [
    {
      'packages/low/package.json': { ...low, dependencies: { '@x/high': 'workspace:*' } },
      'packages/low/src/index.ts': "import { two } from '@x/high';",
    },
    [/@x\/low depends on @x\/high, which layers\.json does not let it import/],
  ],
  'a list that lets an import go down': [
    { 'tooling/layers/layers.json': [{ package: '@x/low', mayImport: ['@x/high'] }, ...layers.slice(1)] },
    [/lets @x\/low import @x\/high, which is not above it/],
  ],
  'a dynamic import that is not declared': [
    { 'packages/low/src/index.ts': "const two = await import('@x/high');" },
    [/low\/src\/index\.ts imports @x\/high: @x\/high is not among the dependencies of @x\/low/],
  ],
  'a test tool in code that ships': [
    { 'packages/low/src/index.ts': "import { kit } from '@x/kit';" },
    [/imports @x\/kit: @x\/kit is not among the dependencies/],
  ],
  'a test of a package further down': [
    { 'packages/low/package.json': { ...low, devDependencies: { '@x/kit': 'workspace:*', '@x/high': 'workspace:*' } } },
    [/@x\/low tests with @x\/high, which is not above it/],
  ],
  'a dependency that is not used': [
    { 'packages/high/src/index.ts': "import { one } from '@x/low';" },
    [/@x\/high declares zod and does not import it/],
  ],
  'a dependency that only a test uses': [
    { 'packages/high/src/index.ts': "import { one } from '@x/low';", 'packages/high/src/one.test.ts': "import { z } from 'zod';" },
    [/@x\/high declares zod and does not import it/],
  ],
  'an inner path by name': [
    { 'packages/high/src/index.ts': "import 'zod'; import { one } from '@x/low/src/one.js';" },
    [/imports @x\/low\/src\/one\.js: @x\/low does not export \.\/src\/one\.js/],
  ],
  'an inner path by folder': [
    { 'packages/high/src/two.ts': "import { one } from '../../low/src/index.js';" },
    [/imports \.\.\/\.\.\/low\/src\/index\.js: a path into @x\/low; import the package by its name/],
  ],
  'a test tool past the front door': [
    { 'tooling/kit/src/index.ts': "import { one } from '../../../packages/low/src/one.js';" },
    [/a path into @x\/low/],
  ],
  'a package without a place': [
    { 'packages/new/package.json': { name: '@x/new' }, 'packages/high/package.json': high },
    [/@x\/new is not in layers\.json/],
  ],
  'a place without a package': [
    { 'tooling/layers/layers.json': [...layers, { package: '@x/gone', mayImport: [] }] },
    [/layers\.json names @x\/gone, which is no package/],
  ],
};

for (const [title, [change, expected]] of Object.entries(broken)) {
  it(`finds ${title}`, async () => {
    const found = await violations(change);
    expect(found).toHaveLength(expected.length);
    for (const [index, pattern] of expected.entries()) expect(found[index]).toMatch(pattern);
  });
}

/** Of the house above with some files changed. */
async function violations(change: Record<string, unknown>): Promise<string[]> {
  for (const [path, content] of Object.entries({ ...house, ...change })) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return layerViolations(root);
}
