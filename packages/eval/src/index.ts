export type { Comparison } from './comparison.js';
export { type PerplexityOptions, type PerplexityResult, perplexity } from './perplexity.js';
export { type Protocol, protocols, type ScoredWindow, scoredWindows, type WindowOptions, wordCount } from './windows.js';
