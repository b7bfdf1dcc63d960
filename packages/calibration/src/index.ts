export type { Accumulator, CalibrationSet, Measured, SiteSample, Statistic } from './types.js';
