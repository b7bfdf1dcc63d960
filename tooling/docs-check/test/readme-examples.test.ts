import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { embeddedModel } from '@fewbit/testkit';
import ts from 'typescript';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { packageFolders, readmeExamples } from '../src/readme-examples.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
// inside of this package, which has all others at hand
const folder = fileURLToPath(new URL('../examples/', import.meta.url));
const examples = readmeExamples(root).map((example, index) => ({ ...example, file: join(folder, `example-${index}.ts`) }));

/** Kernels that a machine may lack; their examples throw then. */
const mayBeMissing = /^kernels\/(?!wasm)/;

it('every package has a README with one sentence, how to install it, an example and its limits', () => {
  for (const package_ of packageFolders(root)) {
    const readme = readFileSync(join(root, package_, 'README.md'), 'utf8');
    const { name } = JSON.parse(readFileSync(join(root, package_, 'package.json'), 'utf8')) as { name: string };
    expect(readme.startsWith(`# ${name}\n\n`), package_).toBe(true);
    expect(readme, package_).toMatch(/^npm install /m);
    expect(readme, package_).toMatch(/^Limits: /m);
    expect(readme.match(/^```/gm)?.length, package_).toBeGreaterThanOrEqual(4);
  }
});

describe('README examples', () => {
  const start = process.cwd();
  let work: string;
  beforeEach(async () => {
    work = await mkdtemp(join(tmpdir(), 'fewbit-readme-'));
    symlinkSync(embeddedModel, join(work, 'model'));
    process.chdir(work);
  });
  afterEach(async () => {
    process.chdir(start);
    await rm(work, { recursive: true, force: true });
  });
  beforeAll(() => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (const { file, code } of examples) writeFileSync(file, code);
  });

  it('have the right types', () => {
    const base = ts.readConfigFile(join(root, 'tooling/tsconfig/base.json'), ts.sys.readFile).config;
    const { options } = ts.convertCompilerOptionsFromJson(base.compilerOptions, root);
    const program = ts.createProgram(
      examples.map(({ file }) => file),
      {
        ...options,
        typeRoots: [join(root, 'node_modules/@types')],
        composite: false,
        declaration: false,
        emitDeclarationOnly: false,
        noEmit: true,
      },
    );
    const wrong = examples.flatMap(({ file, readme }) =>
      ts
        .getPreEmitDiagnostics(program, program.getSourceFile(file))
        .map(({ messageText }) => `${readme}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`),
    );
    expect(wrong).toEqual([]);
  });

  for (const { readme, file, prints } of examples) {
    it(`${readme} runs, and prints what it says`, async ({ skip }) => {
      const lines: string[] = [];
      const log = vi.spyOn(console, 'log').mockImplementation((...values) => void lines.push(values.map(shown).join(' ').trim()));
      const write = vi.spyOn(process.stdout, 'write').mockImplementation(() => true);
      try {
        await import(/* @vite-ignore */ file);
      } catch (error) {
        skip(mayBeMissing.test(readme), (error as Error).message);
        throw error;
      } finally {
        log.mockRestore();
        write.mockRestore();
      }
      expect(lines).toHaveLength(prints.length);
      for (const [index, text] of prints.entries()) expect(lines[index]).toMatch(pattern(text));
    });
  }
});

/** Numbers of an array stand side by side. */
function shown(value: unknown): string {
  return Array.isArray(value) || ArrayBuffer.isView(value) ? [...(value as unknown as Iterable<unknown>)].join(' ') : String(value);
}

function pattern(text: string): RegExp {
  return new RegExp(
    `^${text
      .split('…')
      .map((part) => part.trim().replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
      .join('.*')}$`,
    's',
  );
}
