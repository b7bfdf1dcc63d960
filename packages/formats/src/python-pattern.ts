import { FewbitError } from '@fewbit/core';

/**
 * A module pattern from a config as Python's `re.match` takes it: anchored at the start only. The `u` flag refuses escapes that
 * Python and JavaScript read differently. Throws `unsupported` for a pattern that JavaScript does not know.
 */
export function pythonPattern(source: string): RegExp {
  try {
    return new RegExp(`^(?:${source})`, 'u');
  } catch (cause) {
    throw new FewbitError('unsupported', `The module pattern ${JSON.stringify(source)} is no regular expression that JavaScript knows.`, {
      cause,
    });
  }
}
