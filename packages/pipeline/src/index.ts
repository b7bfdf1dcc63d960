export { checkQuantize, quantize } from './quantize.js';
export type { LayerReport, Progress, QuantizeOptions, QuantizeReport } from './types.js';
