import { pythonPattern } from '../python-pattern.js';

/**
 * Finds which of `targets` speaks of the linear module at some path: its exact path first, then `re:` patterns in alphabetical
 * order (a Python regex, anchored at the start), then the class name `Linear`. The order is that of compressed-tensors.
 * Throws `unsupported` for a pattern that JavaScript does not know.
 */
export function targetMatcher(targets: readonly string[]): (module: string) => string | undefined {
  const patterns = targets
    .filter((target) => target.startsWith('re:'))
    .sort()
    .map((target) => ({ target, pattern: pythonPattern(target.slice('re:'.length)) }));
  const byClass = targets.find((target) => target === 'Linear');
  return (module) => (targets.includes(module) ? module : (patterns.find(({ pattern }) => pattern.test(module))?.target ?? byClass));
}
