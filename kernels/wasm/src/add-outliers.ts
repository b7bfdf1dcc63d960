import type { HostTensor, OutlierPlaces } from '@fewbit/kernels';
import * as id from './control.js';
import type { Engine } from './engine.js';
import { tasksPerThread } from './few-rows.js';

/** out += x·dᵀ, d what products by the codes of `w` lack. */
export function addOutliers(engine: Engine, places: OutlierPlaces, x: HostTensor, w: HostTensor, out: HostTensor): void {
  const { heap, threads } = engine;
  const [m, k, n] = [x.shape[0]!, x.shape[1]!, w.shape[0]!];
  const tiles = Math.ceil(m / id.sparseTokens);
  const turned = heap.allocate(tiles * id.sparseTokens * k * 4);
  engine.run(id.turnTokens, tiles, [x.data.byteOffset, turned, m, k]);
  const share = Math.ceil(n / Math.max(1, Math.ceil((tasksPerThread * threads) / tiles)));
  const perTile = Math.ceil(n / share);
  const entries = addressesOf(places, w, places.differences);
  engine.run(id.addSparse, tiles * perTile, [turned, ...entries, out.data.byteOffset, m, k, n, share, perTile]);
  heap.free(turned);
}

/** Starts, columns, numbers. */
export function addressesOf(places: OutlierPlaces, { data }: HostTensor, numbers: number): [number, number, number] {
  const { byteOffset } = data;
  return [byteOffset + places.starts, byteOffset + places.columns, byteOffset + numbers];
}
