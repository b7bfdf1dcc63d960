import type { HostTensor } from './host-memory.js';
import type { AttentionOptions, Rotary } from './types.js';

/** Rotary position embedding (Su et al. 2021, eq. 34) in the half-split order of Llama checkpoints; features past 2·frequencies stay. */
export function referenceRotate(x: HostTensor, headSize: number, { frequencies, amplitude }: Rotary, start: number, out: HostTensor): void {
  const width = x.shape[1]!;
  const half = frequencies.length;
  out.data.set(x.data);
  for (let i = 0; i < x.shape[0]!; i++) {
    for (let p = 0; p < half; p++) {
      const angle = (start + i) * frequencies[p]!;
      const cos = Math.cos(angle) * amplitude;
      const sin = Math.sin(angle) * amplitude;
      for (let head = i * width; head < (i + 1) * width; head += headSize) {
        const [a, b] = [x.data[head + p]!, x.data[head + p + half]!];
        out.data[head + p] = a * cos - b * sin;
        out.data[head + p + half] = b * cos + a * sin;
      }
    }
  }
}

/** Causal softmax attention (Vaswani et al. 2017, eq. 1); query heads share key-value heads in runs of heads / keyValueHeads. */
export function referenceAttention(
  q: HostTensor,
  k: readonly HostTensor[],
  v: readonly HostTensor[],
  options: AttentionOptions,
  out: HostTensor,
): void {
  const { heads, keyValueHeads, headSize, scale, start, window = Number.POSITIVE_INFINITY, softcap } = options;
  const width = heads * headSize;
  const keyWidth = keyValueHeads * headSize;
  const pageRows = k[0]!.shape[0]!;
  const at = (pages: readonly HostTensor[], position: number, column: number) =>
    pages[Math.floor(position / pageRows)]!.data[(position % pageRows) * keyWidth + column]!;
  for (let i = 0; i < q.shape[0]!; i++) {
    const last = start + i;
    const first = Math.max(0, last - window + 1);
    for (let head = 0; head < heads; head++) {
      const query = i * width + head * headSize;
      const shared = Math.floor((head * keyValueHeads) / heads) * headSize;
      const weights = new Float64Array(last - first + 1);
      for (const j of weights.keys()) {
        let dot = 0;
        for (let d = 0; d < headSize; d++) dot += q.data[query + d]! * at(k, first + j, shared + d);
        weights[j] = softcap === undefined ? dot * scale : softcap * Math.tanh((dot * scale) / softcap);
      }
      softmax(weights);
      for (let d = 0; d < headSize; d++) {
        let sum = 0;
        for (const [j, weight] of weights.entries()) sum += weight * at(v, first + j, shared + d);
        out.data[query + d] = sum;
      }
    }
  }
}

function softmax(row: Float64Array): void {
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of row) largest = Math.max(largest, value);
  let sum = 0;
  for (const [i, value] of row.entries()) {
    row[i] = Math.exp(value - largest);
    sum += row[i]!;
  }
  for (const i of row.keys()) row[i]! /= sum;
}
