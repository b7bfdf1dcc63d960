import { FewbitError } from '@fewbit/core';

/**
 * Finds which of `targets` speaks of the linear module at some path: its exact path first, then `re:` patterns in alphabetical
 * order (a Python regex, anchored at the start), then the class name `Linear`. The order is that of compressed-tensors.
 * Throws `unsupported` for a pattern that JavaScript does not know.
 */
export function targetMatcher(targets: readonly string[]): (module: string) => string | undefined {
  const patterns = targets
    .filter((target) => target.startsWith('re:'))
    .sort()
    .map((target) => ({ target, pattern: compile(target) }));
  const byClass = targets.find((target) => target === 'Linear');
  return (module) => (targets.includes(module) ? module : (patterns.find(({ pattern }) => pattern.test(module))?.target ?? byClass));
}

/** The `u` flag refuses escapes that Python and JavaScript read differently. */
function compile(target: string): RegExp {
  try {
    return new RegExp(`^(?:${target.slice('re:'.length)})`, 'u');
  } catch (cause) {
    throw new FewbitError('unsupported', `The module pattern ${JSON.stringify(target)} is no regular expression that JavaScript knows.`, {
      cause,
    });
  }
}
