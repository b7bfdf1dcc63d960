import { formatName } from './format-name.js';
import type { ActivationSpec } from './types.js';

/** A short name for people: `int8 per token symmetric-full`, `fp8-e4m3 tensor, static`. */
export function activationName({ format, scaling, outlierThreshold, perHead }: ActivationSpec): string {
  const perToken = formatName(format).replace(/\bchannel\b/, 'per token');
  const name = perHead ? perToken.replace(/\btensor\b/, 'per head') : perToken;
  const outliers = outlierThreshold === undefined ? '' : `, features reaching ${outlierThreshold} in float`;
  return `${name}${endings[scaling]}${outliers}`;
}

const endings = { dynamic: '', static: ', static', local: ', static tensor scale' } as const;
