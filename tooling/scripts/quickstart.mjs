// npm run quickstart: the embedded model, quantized four ways, beside what it was.

import { rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { installAndBuild } from './install-and-build.mjs';
import { cache, root, runCommand } from './run-command.mjs';
import { runScript } from './run-script.mjs';

const model = 'tooling/embedded-model/model';
const text = `${model}/held-out.jsonl`;
const protocol = 'document';
const prompt = 'The people of the United States';
const output = relative(root, join(cache, 'quickstart'));

const calibration = ['--calibration', `${model}/calibration.jsonl`, '--samples', '64', '--length', '256'];
const runs = ['int4', 'int3'].flatMap((format) => [
  { name: `${format} rtn`, flags: ['--method', 'rtn', '--format', format, '--group', '64'] },
  { name: `${format} gptq`, flags: ['--method', 'gptq', '--format', format, '--group', '64', ...calibration] },
]);

await runScript(async () => {
  await installAndBuild();
  await rm(join(root, output), { recursive: true, force: true });
  const rows = [await measure('float', model)];
  for (const { name, flags } of runs) {
    const folder = `${output}/${name.replace(' ', '-')}`;
    const { bitsPerWeight, bytes } = await fewbit('quantize', model, '-o', folder, ...flags);
    rows.push({ ...(await measure(name, folder)), bitsPerWeight, bytes: bytes.after });
    rows[0].bytes = bytes.before;
  }
  report(rows);
});

async function measure(name, folder) {
  const { perplexity, standardError, context } = await fewbit('eval', folder, '--text', text, '--protocol', protocol);
  const { text: sentence } = await fewbit('generate', folder, '--prompt', prompt, '--max-tokens', '24');
  return { name, perplexity, standardError, context, sentence };
}

/** Says which command runs, and returns its JSON document. */
async function fewbit(...args) {
  console.log(`\n$ npx fewbit ${args.map((arg) => (arg.includes(' ') ? `"${arg}"` : arg)).join(' ')}`);
  return JSON.parse(await runCommand(process.execPath, ['apps/cli/bin/fewbit.mjs', ...args, '--json'], { output: 'return' }));
}

function report(rows) {
  console.log(
    `\nPerplexity on ${text}: protocol ${protocol}, context ${rows[0].context}. Groups of 64 weights; size of all weights on disk.\n`,
  );
  console.log(`${'model'.padEnd(12)}${'perplexity'.padStart(18)}${'bits/weight'.padStart(14)}${'size'.padStart(12)}`);
  for (const { name, perplexity, standardError, bitsPerWeight, bytes } of rows) {
    const cells = [
      name.padEnd(12),
      `${perplexity.toFixed(3)} ± ${standardError.toFixed(3)}`.padStart(18),
      (bitsPerWeight?.toFixed(2) ?? '–').padStart(14),
      `${(bytes / 1e6).toFixed(2)} MB`.padStart(12),
    ];
    console.log(cells.join(''));
  }
  console.log(`\n${prompt} …`);
  for (const { name, sentence } of rows) console.log(`${name.padEnd(12)}${sentence.replace(/\s+/g, ' ').trim()}`);
  console.log(`\nThe quantized models are in ${output}/.`);
}
