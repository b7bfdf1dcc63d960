export { type TwoLevelParams, twoLevelFormat } from './two-level-format.js';
