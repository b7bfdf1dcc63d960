/**
 * Keeps what `make` returns for a Hessian and a key, for as long as the Hessian itself is kept: the layers of a site are solved one by one,
 * and share what follows from their input alone.
 */
export function perSite<R>(): (h: Float64Array, key: number, make: () => R) => R {
  const sites = new WeakMap<Float64Array, Map<number, R>>();
  return (h, key, make) => {
    const kept = sites.get(h) ?? new Map<number, R>();
    sites.set(h, kept);
    if (!kept.has(key)) kept.set(key, make());
    return kept.get(key) as R;
  };
}
