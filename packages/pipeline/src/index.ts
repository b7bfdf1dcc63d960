export { readCardFiles } from './card/card-files.js';
export { readSourceCard, type SourceCard } from './card/source-card.js';
export { type ConvertOptions, type ConvertReport, convert } from './convert.js';
export { type MeasureOptions, measureImportance } from './measure-importance.js';
export { checkQuantize, quantize } from './quantize.js';
export type { FloatType, LayerReport, Progress, QuantizeOptions, QuantizeReport, WeightFormat, WeightSite } from './types.js';
export { version } from './version.js';
export { storedBits, weightFormatName, weightFormats, weightSites } from './weight-formats.js';
