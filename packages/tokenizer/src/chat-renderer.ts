import { FewbitError } from '@fewbit/core';
import { Template } from '@huggingface/jinja';
import type { Tokenizer } from './types.js';

/**
 * Renders conversations through the template of chat_template.jinja or of tokenizer_config.json; undefined when there is none.
 * Throws `config` for a template that does not parse.
 */
export function chatRenderer(config: Readonly<Record<string, unknown>>, chatTemplate: string | undefined): Tokenizer['renderChat'] {
  const source = chatTemplate ?? configuredTemplate(config.chat_template);
  if (source === undefined) return undefined;
  const template = parseTemplate(source);
  const texts = Object.fromEntries(['bos_token', 'eos_token', 'unk_token', 'pad_token'].map((field) => [field, tokenText(config[field])]));
  return (messages, { addGenerationPrompt = true } = {}) => {
    try {
      return template.render({ ...texts, messages, add_generation_prompt: addGenerationPrompt });
    } catch (cause) {
      throw new FewbitError('usage', `The chat template refuses these messages: ${(cause as Error).message}`, { cause });
    }
  };
}

/** One template, or several by name, of which `default` is the one for conversations. */
function configuredTemplate(field: unknown): string | undefined {
  if (typeof field === 'string') return field;
  if (!Array.isArray(field)) return undefined;
  const named = field as { name?: unknown; template?: unknown }[];
  const found = named.find(({ name }) => name === 'default')?.template;
  return typeof found === 'string' ? found : undefined;
}

function parseTemplate(source: string): Template {
  try {
    return new Template(source);
  } catch (cause) {
    throw new FewbitError(
      'config',
      `The chat template does not parse: ${(cause as Error).message}. Take the model's own file, unchanged.`,
      { cause },
    );
  }
}

function tokenText(token: unknown): string {
  const content = typeof token === 'object' && token !== null ? (token as { content?: unknown }).content : token;
  return typeof content === 'string' ? content : '';
}
