export type { FormatSpec, Granularity, IntScheme, IntSpec, Layout, LayoutReading, NumericFormat, QuantizedMatrix, Tile } from './types.js';
