import { fewbitError, letterTokenizer } from '@fewbit/testkit';
import type { Tokenizer } from '@fewbit/tokenizer';
import { expect, it } from 'vitest';
import { eachWithGoldenLlama } from '../test/golden-llama.js';
import { type Chat, createChat, type GenerateSummary, generate, type Model } from './index.js';

const letters = letterTokenizer();
/** BOS, then each message behind the letter of its role. */
const tokenizer: Tokenizer = {
  ...letters,
  renderChat: (messages) => `${messages.map(({ role, content }) => role[0] + content).join('')}a`,
};
let model: Model;
eachWithGoldenLlama((opened) => {
  ({ model } = opened);
});

async function turn(chat: Chat, text: string, signal?: AbortSignal): Promise<GenerateSummary & { pieces: string[] }> {
  const stream = chat.send(text, signal && { signal });
  const pieces: string[] = [];
  for (;;) {
    const { done, value } = await stream.next();
    if (done) return { ...value, pieces };
    pieces.push(value);
  }
}

/** What the model says to a text without any cache. */
async function continued(text: string): Promise<string> {
  const stream = generate(model, tokenizer, { prompt: letters.encode(text, { addSpecialTokens: false }), eos: [], maxTokens: 5 });
  let next = await stream.next();
  while (!next.done) next = await stream.next();
  return next.value.text;
}

it('answers through the template, and runs only what is new', async () => {
  const chat = createChat(model, tokenizer, { eos: [], maxTokens: 5, system: 'S' });
  const first = await turn(chat, 'HELLO');
  expect(first).toMatchObject({ text: await continued('sSuHELLOa'), promptTokens: 9, cachedTokens: 0 });
  expect(first.pieces.join('')).toBe(first.text);
  const second = await turn(chat, 'WHY');
  // the first prompt and its answer but for the last letter, which was drawn and not run
  expect(second).toMatchObject({ text: await continued(`sSuHELLOa${first.text}uWHYa`), cachedTokens: 9 + 4 });
  expect(chat.messages).toEqual([
    { role: 'system', content: 'S' },
    { role: 'user', content: 'HELLO' },
    { role: 'assistant', content: first.text },
    { role: 'user', content: 'WHY' },
    { role: 'assistant', content: second.text },
  ]);
  chat.reset();
  expect(await turn(chat, 'HELLO')).toMatchObject({ text: first.text, cachedTokens: 8 });
  chat.reset('T');
  expect(await turn(chat, 'HELLO')).toMatchObject({ text: await continued('sTuHELLOa'), cachedTokens: 1 });
  chat.reset('');
  expect(chat.messages).toEqual([]);
  chat.close();
});

it('an answer that is stopped is part of the conversation as far as it went', async () => {
  const chat = createChat(model, tokenizer, { eos: [], maxTokens: 20 });
  const controller = new AbortController();
  await expect(turn(chat, 'HELLO', AbortSignal.abort())).rejects.toThrow(fewbitError('cancelled', /stopped/));
  expect(chat.messages).toEqual([]);
  const stream = chat.send('HELLO', { signal: controller.signal });
  const said = `${(await stream.next()).value}${(await stream.next()).value}`;
  controller.abort();
  await expect(stream.next()).rejects.toThrow(fewbitError('cancelled', /stopped/));
  expect(chat.messages).toEqual([
    { role: 'user', content: 'HELLO' },
    { role: 'assistant', content: said },
  ]);
  for await (const piece of chat.send('WHY')) {
    expect(piece).toHaveLength(1);
    break;
  }
  expect(chat.messages).toHaveLength(4);
  // a turn that does not fit leaves the conversation as it was
  await expect(turn(chat, 'A'.repeat(64))).rejects.toThrow(fewbitError('usage', /leave room for an answer/));
  expect(chat.messages).toHaveLength(4);
  chat.close();
});

it('needs a template, or to be told to do without', async () => {
  expect(() => createChat(model, letters)).toThrow(fewbitError('usage', /no chat template/));
  const plain = createChat(model, letters, { plain: true, eos: [], maxTokens: 5 });
  const { text } = await turn(plain, 'HELLO');
  const prompt = letters.encode('HELLO\n');
  const stream = generate(model, letters, { prompt, eos: [], maxTokens: 5 });
  let next = await stream.next();
  while (!next.done) next = await stream.next();
  expect(text).toBe(next.value.text);
  plain.close();
});
