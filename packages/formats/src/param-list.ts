/**
 * One entry per tile, row-major by tile: an array, or what makes an entry when it is asked for. A matrix read from a file has the latter over its
 * typed arrays: as objects, millions of entries would take several times the memory of the scales.
 */
export interface ParamList<P> extends Iterable<P> {
  readonly length: number;
  at(index: number): P | undefined;
}

/** `length` entries, of which number `index` is what `entry(index)` makes each time. */
export function paramList<P>(length: number, entry: (index: number) => P): ParamList<P> {
  return {
    length,
    at: (index) => (index < length ? entry(index) : undefined),
    *[Symbol.iterator]() {
      for (let i = 0; i < length; i++) yield entry(i);
    },
  };
}
