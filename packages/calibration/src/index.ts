export { calibrationWindows, type Sampling, type WindowOptions } from './calibration-windows.js';
export { type Gathering, gather } from './gather.js';
export { crossGram, type GramOptions, gram, type TokenWeight } from './gram.js';
export { type InputHistogram, inputHistogram } from './histogram.js';
export { absMax, absMean, meanSquare } from './magnitude.js';
export { readDocuments } from './read-documents.js';
export { type Observer, observers, staticParams } from './static-params.js';
export type { Accumulator, CalibrationSet, Measured, SiteSample, Statistic } from './types.js';
