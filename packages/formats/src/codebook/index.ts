export { type AbsmaxParams, absmaxFormat } from './absmax-format.js';
export { codebookFormat } from './codebook-format.js';
export { dynamicMap } from './dynamic-map.js';
export { type FittedParams, fittedParams } from './fitted-format.js';
export { kMeans } from './k-means.js';
export { levelTables } from './level-tables.js';
export { type NestedParams, nestAbsmaxes, nestedBlock, nestedParams } from './nested-format.js';
