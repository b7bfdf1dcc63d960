import type { FormatFamily } from '../family.js';
import type { GgmlSpec } from '../types.js';
import { expectOneOf } from '../validate-fields.js';
import { ggmlFormat } from './ggml-format.js';
import { ggmlTypeNames } from './ggml-types.js';

export const ggmlFamily: FormatFamily<GgmlSpec> = {
  validate: ({ type }) => expectOneOf('type', type, ggmlTypeNames),
  name: ({ type }) => type,
  create: ggmlFormat,
};
