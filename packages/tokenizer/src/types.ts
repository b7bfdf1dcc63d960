/** Text to token ids and back. */
export interface Tokenizer {
  /** One more than the largest id. */
  readonly vocabularySize: number;
  /** Ids of the tokens that begin and end a text, where the tokenizer names them. */
  readonly bos?: number;
  readonly eos?: number;
  /** Ids of `text`; with the special tokens that the tokenizer adds by itself unless `addSpecialTokens` is false. */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): Uint32Array;
  /** Special tokens are left out unless `skipSpecialTokens` is false. Throws `usage` for an id that is not a token. */
  decode(ids: ArrayLike<number>, options?: { readonly skipSpecialTokens?: boolean }): string;
  /** Decodes one token at a time. */
  stream(options?: { readonly skipSpecialTokens?: boolean }): TextStream;
  /** Renders a conversation as the model expects it; absent when the model has no chat template. Throws `usage` when the template refuses. */
  readonly renderChat?: (messages: readonly ChatMessage[], options?: { readonly addGenerationPrompt?: boolean }) => string;
}

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** The pieces that `push` returns, and then `end`, join to the text that `decode` gives for all ids. */
export interface TextStream {
  /** The text that `id` completes; empty while a character is incomplete. */
  push(id: number): string;
  /** What is left. */
  end(): string;
}

/** The texts of a model directory's tokenizer files. */
export interface TokenizerFiles {
  readonly tokenizerJson: string;
  readonly tokenizerConfig?: string;
  /** chat_template.jinja; else the template in tokenizer_config.json is taken. */
  readonly chatTemplate?: string;
}
