export { activationName } from './activation-name.js';
export { awq } from './awq/layout.js';
export { bitsandbytes } from './bitsandbytes/layout.js';
export { type AbsmaxParams, absmaxFormat } from './codebook/absmax-format.js';
export { codebookFormat } from './codebook/codebook-format.js';
export { dynamicMap } from './codebook/dynamic-map.js';
export { type FittedParams, fittedParams } from './codebook/fitted-format.js';
export { kMeans } from './codebook/k-means.js';
export { levelTables } from './codebook/level-tables.js';
export { type NestedParams, nestAbsmaxes, nestedBlock, nestedParams } from './codebook/nested-format.js';
export { compressedTensors } from './compressed-tensors/layout.js';
export { createFormat } from './create-format.js';
export { decodeMatrix } from './decode-matrix.js';
export { type EncodeMatrixOptions, encodeMatrix, fitMatrix } from './encode-matrix.js';
export { fewbit } from './fewbit/layout.js';
export { type FitSearchedOptions, fitSearched } from './fit-searched.js';
export type { FloatParams } from './float/elements.js';
export { floatFormat } from './float/float-format.js';
export { fromE8m0, toE8m0 } from './float/mx-format.js';
export { type NvParams, nvParams } from './float/nv-format.js';
export { formatName } from './format-name.js';
export { fp8 } from './fp8/layout.js';
export { ggmlFormat } from './ggml/ggml-format.js';
export { type GgmlTypeName, ggmlType, ggmlTypeNames } from './ggml/ggml-types.js';
export { gguf } from './ggml/layout.js';
export type { BlockParams } from './ggml/simple-format.js';
export type { SuperParams } from './ggml/super-format.js';
export { gptq, gptqV2 } from './gptq/layout.js';
export { importanceAt } from './importance-at.js';
export { type AbsmaxIntParams, absmaxIntParams } from './int/absmax-int-format.js';
export { type IntParams, intFormat } from './int/int-format.js';
export { roundActivations } from './round-activations.js';
export { coveredShape, type TileGrid, tileGrid, tileIndex, tileOffset } from './tile-grid.js';
export type {
  ActivationRounding,
  ActivationSpec,
  CodebookSpec,
  DescribeOptions,
  FloatSpec,
  FormatSpec,
  GgmlSpec,
  Granularity,
  Importance,
  IntScheme,
  IntSpec,
  Layout,
  LayoutReading,
  NumericFormat,
  QuantizedMatrix,
  Tile,
  TileSize,
} from './types.js';
export { validateSpec } from './validate-spec.js';
