import { readFileSync } from 'node:fs';
import { activationNames, formatNames, layoutNames, methodNames } from '@fewbit/presets';
import { expect, it } from 'vitest';
import { fewbit } from './capture.js';

const page = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8');

it('docs/cli.md has every command and every option', async () => {
  const { stdout } = await fewbit('--help');
  const commands = [...stdout.matchAll(/^ {2}([a-z]+) .*[<[]/gm)].map(([, name]) => name!).filter((name) => name !== 'help');
  expect(commands).toContain('quantize');
  for (const command of commands) {
    expect(page).toContain(`\n## ${command}\n`);
    const { stdout: help } = await fewbit(command, '--help');
    for (const [option] of help.matchAll(/--[a-z-]+/g)) {
      if (option !== '--help') expect(page, `fewbit ${command}`).toContain(option);
    }
  }
});

it('docs/cli.md has every name of a method, a format, a layout and a rounding of inputs', () => {
  for (const name of [...methodNames, ...formatNames, ...layoutNames, ...activationNames]) expect(page).toContain(`\`${name}\``);
});
