export { activationName } from './activation-name.js';
export type { AffineLevels } from './affine-levels.js';
export { awq } from './awq/layout.js';
export { bitsandbytes } from './bitsandbytes/layout.js';
export {
  type AbsmaxParams,
  absmaxFormat,
  codebookFormat,
  dynamicMap,
  type FittedParams,
  fittedParams,
  kMeans,
  levelTables,
  type NestedParams,
  nestAbsmaxes,
  nestedBlock,
  nestedParams,
} from './codebook/index.js';
export { compressedTensors } from './compressed-tensors/layout.js';
export { createFormat } from './create-format.js';
export { decodeInStrips, decodeMatrix } from './decode-matrix.js';
export { type EncodeMatrixOptions, encodeMatrix, fitMatrix } from './encode-matrix.js';
export { fewbit } from './fewbit/layout.js';
export { type FitSearchedOptions, fitSearched } from './fit-searched.js';
export { type FloatParams, floatFormat, fromE8m0, type NvParams, nvParams, type SmallFloat, smallFloats, toE8m0 } from './float/index.js';
export { formatName } from './format-name.js';
export { fp8 } from './fp8/layout.js';
export { type BlockParams, type GgmlTypeName, ggmlFormat, ggmlType, ggmlTypeNames, gguf, type SuperParams } from './ggml/index.js';
export { gptq, gptqV2 } from './gptq/layout.js';
export { importanceAt } from './importance-at.js';
export { type AbsmaxIntParams, absmaxIntParams, type IntParams, intFormat } from './int/index.js';
export { type IntColumns, intColumns } from './int-matrix.js';
export { isKeyValueTensor } from './key-value-tensors.js';
export type { ParamList } from './param-list.js';
export { restatedSpec, restateFor } from './restate.js';
export { roundActivations } from './round-activations.js';
export { outlierBits, refusalOf, refusalOfOutliers, sparseMatrix, storedBits } from './sparse-matrix.js';
export { storedFormat } from './stored-format.js';
export { coveredShape, type TileGrid, tileGrid, tileIndex, tileOffset } from './tile-grid.js';
export { type TwoLevelParams, twoLevelFormat } from './two-level/index.js';
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
  KeyValueLayout,
  KeyValueRounding,
  Layout,
  LayoutReading,
  NumericFormat,
  QuantizedMatrix,
  SparseMatrix,
  Tile,
  TileSize,
  TwoLevelSpec,
} from './types.js';

export { validateSpec } from './validate-spec.js';
