export { columnOrder, type Order } from './column-order.js';
export { gptq, gptqSolver } from './gptq.js';
export { type InverseFactor, inverseFactor } from './inverse-factor.js';
export { type Clip, type GptqOptions, gptqDefaults, type Target } from './options.js';
export { type SweepInput, sweep } from './sweep.js';
export { type Move, movedTarget, targetMove } from './target-move.js';
