import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { embeddedModel, temporaryFolder } from '@fewbit/testkit';
import { beforeAll, describe, expect, it } from 'vitest';
import { fewbit, fewbitJson, fewbitOn } from './capture.js';

const model = join(temporaryFolder(), 'chats');
const quiet = ['--temperature', '0', '--max-tokens', '12'];
beforeAll(() => {
  cpSync(embeddedModel, model, { recursive: true });
  writeFileSync(
    join(model, 'chat_template.jinja'),
    '{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}',
  );
});

interface Document {
  model: string;
  messages: { role: string; content: string }[];
  turns: { prompt: string; text: string; tokens: number; promptTokens: number; cachedTokens: number; finish: string }[];
  kernels: { backend: string; description: string; ops: Record<string, string>; keyValues: string };
}

const lines = (...text: string[]) => ({ stdin: Readable.from(text.map((line) => `${line}\n`)) });

async function document(stdin: ReturnType<typeof lines>, ...argv: string[]): Promise<Document> {
  const { code, stdout, stderr } = await fewbitOn(stdin, 'chat', model, '--json', ...argv);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Document;
}

describe('fewbit chat, from a pipe', () => {
  it('answers each line as the template has it, and runs only new tokens', async () => {
    const { turns, messages } = await document(lines('It was a dark night.', '', 'What then?'), ...quiet);
    expect(turns.map(({ prompt }) => prompt)).toEqual(['It was a dark night.', 'What then?']);
    const [first, second] = turns as [Document['turns'][0], Document['turns'][0]];
    expect(messages.map(({ content }) => content)).toEqual(['It was a dark night.', first.text, 'What then?', second.text]);
    // the template writes the BOS that --prompt gets from the tokenizer
    const whole = `user: It was a dark night.\nassistant: ${first.text.trimStart()}\nuser: What then?\nassistant:`;
    expect(second.text).toBe((await fewbitJson<{ text: string }>('generate', model, '--prompt', whole, ...quiet)).text);
    expect(first.cachedTokens).toBe(0);
    expect(second.cachedTokens).toBeGreaterThanOrEqual(first.promptTokens);
  });

  it('prints the answers alone', async () => {
    const { turns } = await document(lines('It was', '/reset', 'It was'), ...quiet);
    expect(turns[0]!.text).toBe(turns[1]!.text);
    const { code, stdout, stderr } = await fewbitOn(lines('It was', '/exit', 'never read'), 'chat', model, ...quiet);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: `${turns[0]!.text}\n`, stderr: '' });
  });

  it('tells what runs the model: in the document, and with --verbose on stderr', async () => {
    const { kernels } = await document(lines('It was'), ...quiet, '--backend', 'reference');
    expect(kernels).toMatchObject({ backend: 'reference', ops: { matmul: 'reference' } });
    const { code, stdout, stderr } = await fewbitOn(lines('It was'), 'chat', model, ...quiet, '--backend', 'reference', '--verbose');
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: `kernels: reference: ${kernels.description}; keys and values ${kernels.keyValues}\n`,
    });
    expect(stdout).not.toContain('kernels');
  });

  it('takes a system message, and another', async () => {
    const { turns, messages } = await document(lines('It was', '/system You are old.', 'It was'), ...quiet, '--system', 'You are young.');
    expect(messages).toEqual([
      { role: 'system', content: 'You are old.' },
      { role: 'user', content: 'It was' },
      { role: 'assistant', content: turns[1]!.text },
    ]);
    expect(turns[0]!.promptTokens).toBeGreaterThan((await document(lines('It was'), ...quiet)).turns[0]!.promptTokens);
  });

  it('draws the same for the same seed', async () => {
    const drawn = async (seed: string) =>
      (await document(lines('It was', 'It was'), '--max-tokens', '12', '--seed', seed)).turns.map(({ text }) => text);
    expect(await drawn('1')).toEqual(await drawn('1'));
    expect(await drawn('1')).not.toEqual(await drawn('2'));
  });

  it('names its commands when it does not know one, and a text too long ends it', async () => {
    const { code, stderr } = await fewbitOn(lines('/what', 'word '.repeat(400)), 'chat', model);
    expect(stderr).toMatch(/\/what is no command\.\n\/reset +starts over/);
    expect(stderr).toMatch(/fewbit: The prompt has \d+ tokens; with a context of 256 at most 255 leave room/);
    expect(code).toBe(2);
  });

  it('refuses a model without template, unless it may do without', async () => {
    const { code, stderr } = await fewbit('chat', embeddedModel);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/^fewbit: The model has no chat template: .*--plain/) });
    const plain = await fewbitOn(lines('It was'), 'chat', embeddedModel, '--plain', ...quiet);
    const { text } = await fewbitJson<{ text: string }>('generate', embeddedModel, '--prompt', 'It was\n', ...quiet);
    expect(plain).toEqual({ code: 0, stdout: `${text}\n`, stderr: '' });
  });
});

describe('fewbit chat, on a terminal', () => {
  const prompt = ['terminal', /> .\[3G$/] as const;
  const words = ['stdout', /\w+ \w+/] as const;

  /** A user who presses keys once a stream has shown what is expected, step by step. */
  async function typed(...script: (readonly [stream: 'terminal' | 'stdout' | 'stderr', expected: RegExp, keys: string])[]) {
    const stdin = new PassThrough();
    const terminal = new PassThrough().setEncoding('utf8');
    let seen = '';
    const see = (from: string) => (text: string) => {
      const [step] = script;
      if (from === step?.[0]) seen += text;
      if (!step?.[1].test(seen)) return;
      script.shift();
      seen = '';
      stdin.write(step[2]);
    };
    terminal.on('data', see('terminal'));
    const io = { stdin, terminal, stdout: see('stdout'), stderr: see('stderr') };
    return { ...(await fewbitOn(io, 'chat', model, '--temperature', '0')), unseen: script };
  }

  it('Ctrl-C stops the answer, and not the program', async () => {
    const { code, stdout, stderr, unseen } = await typed(
      [...prompt, 'It was\r'],
      [...words, '\u0003'],
      [...prompt, 'Then\r'],
      [...words, '\u0003'],
      [...prompt, 'half a question\u0003'],
      ['stderr', /Ctrl-D leaves/, '/exit\r'],
    );
    expect({ code, unseen }).toEqual({ code: 0, unseen: [] });
    expect(stdout).toMatch(/^.*\w+ \w+.*\n.*\w+ \w+.*\n/s);
    expect(stderr).not.toMatch(/fewbit:/);
  });

  it('a question too long is no end, Ctrl-D is', async () => {
    const { code, stderr, unseen } = await typed(
      [...prompt, `${'word '.repeat(400)}\r`],
      ['stderr', /The prompt has/, ''],
      [...prompt, '\u0004'],
    );
    expect({ code, unseen }).toEqual({ code: 0, unseen: [] });
    expect(stderr).toMatch(/The prompt has/);
  });
});
