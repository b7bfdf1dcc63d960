export function sum<T>(of: Iterable<T>, value: (one: T) => number): number {
  let total = 0;
  for (const one of of) total += value(one);
  return total;
}
