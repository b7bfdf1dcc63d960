import { FewbitError } from '@fewbit/core';
import type { Draw } from './types.js';

/** Throws `usage` for a draw out of range, with a message that begins with `where`. */
export function checkDraw({ uniform, temperature, topK = 1, topP = 1, minP = 0 }: Draw, where = ''): void {
  const check = (name: string, value: number, fits: boolean, wanted: string) => {
    if (!fits) throw new FewbitError('usage', `${where}${name} must be ${wanted}, got ${value}.`);
  };
  check('uniform', uniform, uniform >= 0 && uniform < 1, 'at least 0 and below 1');
  check('temperature', temperature, temperature >= 0 && Number.isFinite(temperature), 'a number of 0 or more');
  check('topK', topK, Number.isSafeInteger(topK) && topK > 0, 'a positive integer');
  check('topP', topP, topP > 0 && topP <= 1, 'above 0 and at most 1');
  check('minP', minP, minP >= 0 && minP <= 1, 'between 0 and 1');
}
