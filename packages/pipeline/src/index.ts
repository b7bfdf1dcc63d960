export { checkQuantize, quantize } from './quantize.js';
export type { LayerReport, Progress, QuantizeOptions, QuantizeReport, WeightFormat, WeightSite } from './types.js';
export { storedBits, weightFormatName, weightFormats, weightSites } from './weight-formats.js';
