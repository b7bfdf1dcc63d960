import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { shapeNames } from '../src/shapes.js';
import { fewbitBench } from './capture.js';

const page = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8').split('\n## fewbit-bench\n')[1]!;

it('docs/cli.md has every option of every command, where it speaks of that command', async () => {
  const { stdout } = await fewbitBench('--help');
  const commands = [...stdout.matchAll(/^ {2}([a-z]+) .*\[options\]/gm)].map(([, name]) => name!);
  expect(commands).toEqual(['model', 'kernels', 'accuracy', 'checkpoint']);
  const general = page.slice(0, page.indexOf('| command'));
  for (const [index, command] of commands.entries()) {
    const start = page.indexOf(`\n\`fewbit-bench ${command}`);
    expect(start, command).toBeGreaterThan(0);
    const next = commands[index + 1];
    const section = general + page.slice(start, next ? page.indexOf(`\n\`fewbit-bench ${next}`) : undefined);
    const { stdout: help } = await fewbitBench(command, '--help');
    const options = [...help.matchAll(/--[a-z-]+/g)].map(([option]) => option).filter((option) => option !== '--help');
    expect(options).toContain('--json');
    for (const option of options) expect(section, `fewbit-bench ${command}`).toMatch(new RegExp(`(?<![a-z-])${option}(?![a-z-])`));
  }
});

it('docs/cli.md has every shape', () => {
  for (const name of shapeNames) expect(page).toContain(`\`${name}\``);
});
