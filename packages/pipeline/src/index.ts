export type { LayerReport, Progress, QuantizeOptions, QuantizeReport } from './types.js';
