export { loadTokenizer } from './load-tokenizer.js';
export { openTokenizer } from './open-tokenizer.js';
export type { ChatMessage, TextStream, Tokenizer, TokenizerFiles } from './types.js';
