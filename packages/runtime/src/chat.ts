import { FewbitError } from '@fewbit/core';
import type { ChatMessage, Tokenizer } from '@fewbit/tokenizer';
import { type GenerateOptions, type GenerateSummary, generate } from './generate.js';
import { createCache } from './key-value-cache.js';
import type { Model } from './open-model.js';

export interface ChatOptions extends Omit<GenerateOptions, 'prompt' | 'cache' | 'signal'> {
  /** What the model is told before the conversation. */
  readonly system?: string;
  /** Without the model's chat template: the messages as plain text, each on a line of its own. Default false. */
  readonly plain?: boolean;
}

/** A conversation, whose keys and values stay in memory: a turn runs only the tokens that are new. Serves one turn at a time. */
export interface Chat {
  readonly messages: readonly ChatMessage[];
  /**
   * Says something and yields the answer as it becomes whole; both join the conversation. When the consumer leaves or the signal fires, so does what was
   * answered until then; when nothing was, or the turn fails, the conversation stays as it was. Throws as `generate` does.
   */
  send(text: string, options?: { readonly signal?: AbortSignal }): AsyncGenerator<string, GenerateSummary, undefined>;
  /** Starts over; with another system message where one is given, with none where it is empty. */
  reset(system?: string): void;
  close(): void;
}

/** An empty conversation. Throws `usage` for a model without chat template, unless `plain`. */
export function createChat(model: Model, tokenizer: Tokenizer, { system = '', plain = false, ...options }: ChatOptions = {}): Chat {
  const render = plain ? undefined : tokenizer.renderChat;
  if (!plain && !render) {
    throw new FewbitError(
      'usage',
      'The model has no chat template: it was not made for conversations. Continue a text instead, or ask for plain text.',
    );
  }
  // templates write the special tokens themselves
  const encode = (messages: readonly ChatMessage[]) =>
    render ? tokenizer.encode(render(messages), { addSpecialTokens: false }) : tokenizer.encode(plainText(messages));
  const cache = createCache(model);
  const opening = (text: string): ChatMessage[] => (text === '' ? [] : [{ role: 'system', content: text }]);
  let messages = opening(system);
  let turns = 0;

  return {
    get messages() {
      return messages;
    },
    async *send(text, { signal } = {}) {
      const asked = [...messages, { role: 'user', content: text }];
      // another seed for each turn, or the same question would be answered by the same draws
      const seed = (options.seed ?? 0) + turns++;
      const stream = generate(model, tokenizer, { ...options, seed, cache, prompt: encode(asked), ...(signal && { signal }) });
      let answer = '';
      let ended = false;
      try {
        let next = await stream.next();
        for (; !next.done; next = await stream.next()) {
          answer += next.value;
          yield next.value;
        }
        ended = true;
        return next.value;
      } finally {
        if (ended || answer !== '') messages = [...asked, { role: 'assistant', content: answer }];
      }
    },
    reset(text = messages[0]?.role === 'system' ? messages[0].content : '') {
      messages = opening(text);
    },
    close: () => cache.close(),
  };
}

function plainText(messages: readonly ChatMessage[]): string {
  return messages.map(({ content }) => `${content}\n`).join('');
}
