import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { compressedTensors, type IntSpec } from '@fewbit/formats';
import { referenceBackend } from '@fewbit/kernels';
import { rtn } from '@fewbit/rtn';
import { fewbitError, fileHashes, goldenModel, temporaryFolder } from '@fewbit/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { convert, type QuantizeOptions, quantize, readCardFiles } from '../index.js';
import { fileTable } from './card-files.js';
import { fenced } from './model-card.js';

const root = temporaryFolder();
const place = () => join(mkdtempSync(join(root, 'case-')), 'out');
const llama = goldenModel('llama').folder;
const format: IntSpec = { kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'group', size: 16 }, scaleType: 'F32' };
const calibration = { source: '/home/me/some.txt', fingerprint: 'f1', windows: [Uint32Array.from([1, 2, 3, 4, 5, 6])] };

/** The golden model with a card, at a place of the hub's cache. */
function withCard(card: string | Uint8Array, path = join(dirname(place()), 'model')): string {
  mkdirSync(path, { recursive: true });
  cpSync(llama, path, { recursive: true });
  writeFileSync(join(path, 'README.md'), card);
  return path;
}
async function quantized(model: string, options: Partial<QuantizeOptions> = {}) {
  const output = place();
  const report = await quantize({
    model,
    output,
    method: rtn(),
    format,
    layout: compressedTensors,
    backend: referenceBackend(),
    ...options,
  });
  const card = readFileSync(join(output, 'README.md'), 'utf8');
  const [, frontMatter = ''] = /^---\n([\s\S]*?)---\n/.exec(card)!;
  return { output, report, card, fields: parse(frontMatter) as Record<string, unknown> };
}
const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

const original = `---
license: apache-2.0 # free
language: [en, de]
tags:
- chat
- 8-bit
model-index: [{ name: x, results: [] }]
---
# A model

Text with \`\`\`fences\`\`\` and\r
## Files

| file | bytes | sha256 |
| --- | ---: | --- |
| theirs | 1 | ${'a'.repeat(64)} |`;

describe('the model card', () => {
  it('has recipe, numbers, and the hash of every other file, which it reads back', async () => {
    const { output, report, card } = await quantized(llama, { calibration, seed: 7, recipe: { format: 'int4' } });
    const others = readdirSync(output).filter((name) => name !== 'README.md');
    expect(readCardFiles(card)).toEqual(report.files);
    expect(report.files.map(({ name, sha256: hash }) => [name, hash])).toEqual(
      others.sort().map((name) => [name, sha256(join(output, name))]),
    );
    expect(card).toMatch(/\| method \| rtn \|/);
    expect(card).toMatch(/\| format \| int4 g16.* \(14 matrices\) \|/);
    expect(card).toMatch(/\| calibration \| some\.txt: 1 windows of 6 tokens, sha256 of the tokens f1 \|/);
    expect(card).toMatch(/\| seed \| 7 \|/);
    expect(card).toContain('"format": "int4"');
    expect(card).toContain(`| ${report.bitsPerWeight.toFixed(4)} |`);
    expect(card).toContain(`| ${report.bytes.before} → ${report.bytes.after} |`);
    const worst = Math.max(...report.layers.filter(({ name }) => name.endsWith('k_proj')).map(({ outputError }) => outputError!));
    expect(card).toMatch(new RegExp(`self_attn\\.k_proj .* \\| ${worst.toExponential(2).replace('+', '\\+')} \\|`));
    expect(card).not.toContain(root);
  });

  it('is the same bytes for the same model and recipe', async () => {
    const model = withCard(original);
    const [a, b] = [await quantized(model, { calibration }), await quantized(model, { calibration })];
    expect(fileHashes(a.output)).toEqual(fileHashes(b.output));
  });

  it("keeps the source's card whole, and of its fields what is still true", async () => {
    const model = withCard(original, join(dirname(place()), 'models--some--model', 'snapshots', 'abc'));
    const { card, fields } = await quantized(model);
    expect(fields).toEqual({
      license: 'apache-2.0',
      language: ['en', 'de'],
      tags: ['chat', 'fewbit', 'compressed-tensors', expect.stringMatching(/^\d-bit$/)],
      library_name: 'transformers',
      base_model: 'some/model',
      base_model_relation: 'quantized',
    });
    const [, frontMatter = '', body = ''] = /^---\n([\s\S]*?)---\n([\s\S]*)$/.exec(original)!;
    expect(card.endsWith(`\n${body}`)).toBe(true);
    expect(card).toContain(`\`\`\`yaml\n${frontMatter}\`\`\`\n`);
    expect(readCardFiles(card)!.map(({ name }) => name)).not.toContain('theirs');
  });

  it('takes a card without front matter, or with one that is damaged, as text', async () => {
    for (const text of ['Only text.\n', '', '---\nlicense: [\n---\nText\n', '---\n- a list\n---\n', '---\n---\n', '---\nnever closed']) {
      const { card, fields } = await quantized(withCard(text));
      expect(card.endsWith(text === '---\n---\n' ? '' : text)).toBe(true);
      expect(fields).toMatchObject({ library_name: 'transformers', tags: expect.arrayContaining(['fewbit']) });
    }
    await expect(quantized(withCard(Uint8Array.of(0x68, 0xff)))).rejects.toEqual(fewbitError('config', /README\.md/));
  });

  it('of a converted model says what was kept, and is followed by the one that says how it was quantized', async () => {
    const { output } = await quantized(withCard(original));
    const back = place();
    const report = await convert({ model: output, output: back, layouts: [compressedTensors], layout: undefined });
    const card = readFileSync(join(back, 'README.md'), 'utf8');
    expect(readCardFiles(card)).toEqual(report.files);
    expect(card).toMatch(/every weight is the same number as before/);
    expect(card).toMatch(/\| method \| rtn \|/);
    expect(card.endsWith(original.slice(original.indexOf('# A model')))).toBe(true);
    const tags = (parse(/^---\n([\s\S]*?)---\n/.exec(card)![1]!) as { tags: string[] }).tags;
    expect(tags).toEqual(['chat', 'fewbit']);
  });

  it('has a table of files that reads back whatever their names, and fences that hold', () => {
    const name = fc.string({ minLength: 1 }).filter((text) => !/[\r\n]/.test(text));
    const file = fc.record({
      name,
      bytes: fc.nat(),
      sha256: fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 64, maxLength: 64 }),
    });
    fc.assert(
      fc.property(fc.array(file, { minLength: 1, maxLength: 4 }), (files) => {
        expect(readCardFiles(`# x\n\n## Files\n\n${fileTable(files)}\n\n# y\n`)).toEqual(files);
      }),
    );
    expect(readCardFiles('# A model\n\n## Files\n\nmodel.safetensors: the weights\n')).toBeUndefined();
    expect(fenced('yaml', 'a: "```"')).toBe('````yaml\na: "```"\n````');
  });
});
