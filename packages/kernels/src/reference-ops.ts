import { roundActivations } from '@fewbit/formats';
import { activations } from './activation.js';
import type { HostMemory, HostTensor } from './host-memory.js';
import { referenceAttention, referenceRotate } from './reference-attention.js';
import { sampleToken } from './sample-token.js';
import type { DeviceTensor, Ops } from './types.js';

/** The definition of each op: float32 in and out, sums in double. Over any host memory, so that it serves whatever a faster table leaves out. */
export function referenceOps(memory: Pick<HostMemory, 'allocate' | 'read'>): Ops {
  const { allocate, read } = memory;
  const map = (tensor: DeviceTensor, of: (x: number, i: number) => number): HostTensor => {
    const x = read(tensor);
    const out = allocate(x.shape);
    for (let i = 0; i < x.data.length; i++) out.data[i] = of(x.data[i]!, i);
    return out;
  };
  return {
    embed(table, tokens) {
      const { data } = read(table);
      const n = table.shape[1]!;
      const out = allocate([tokens.length, n]);
      for (const [i, token] of tokens.entries()) out.data.set(data.subarray(token * n, (token + 1) * n), i * n);
      return out;
    },

    matmul(xTensor, wTensor, biasTensor) {
      const [x, w, bias] = [read(xTensor), read(wTensor), biasTensor && read(biasTensor)];
      const [m, k] = dimensions(x);
      const [n] = dimensions(w);
      const out = allocate([m, n]);
      const [left, right] = [x.data, w.data];
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = bias ? bias.data[j]! : 0;
          for (let p = 0; p < k; p++) sum += left[i * k + p]! * right[j * k + p]!;
          out.data[i * n + j] = sum;
        }
      }
      return out;
    },

    add(a, b) {
      const right = read(b).data;
      return map(a, (x, i) => x + right[i % right.length]!);
    },

    scale: (x, by) => map(x, (value) => value * by),

    rmsNorm(x, gainTensor, epsilon, gainOffset) {
      const gain = read(gainTensor).data;
      return normalised(x, gain.length, (segment, out) => {
        let squares = 0;
        for (const value of segment) squares += value * value;
        const inverse = 1 / Math.sqrt(squares / segment.length + epsilon);
        for (const [i, value] of segment.entries()) out[i] = value * inverse * (gain[i]! + gainOffset);
      });
    },

    layerNorm(x, gainTensor, biasTensor, epsilon) {
      const [gain, bias] = [read(gainTensor).data, read(biasTensor).data];
      return normalised(x, gain.length, (segment, out) => {
        const n = segment.length;
        let sum = 0;
        for (const value of segment) sum += value;
        const mean = sum / n;
        let squares = 0;
        for (const value of segment) squares += (value - mean) ** 2;
        const inverse = 1 / Math.sqrt(squares / n + epsilon);
        for (const [i, value] of segment.entries()) out[i] = (value - mean) * inverse * gain[i]! + bias[i]!;
      });
    },

    rotate: (x, headSize, rotary, start) => {
      const out = allocate(x.shape);
      referenceRotate(read(x), headSize, rotary, start, out);
      return out;
    },

    attention(q, k, v, options) {
      const out = allocate(q.shape);
      referenceAttention(read(q), k.map(read), v.map(read), options, out);
      return out;
    },

    gated(gate, up, activation) {
      const right = read(up).data;
      return map(gate, (x, i) => activations[activation](x) * right[i]!);
    },

    activate: (x, activation) => map(x, activations[activation]),

    softcap: (x, cap) => map(x, (value) => cap * Math.tanh(value / cap)),

    columns(xTensor, start, count) {
      const x = read(xTensor);
      const [m, n] = dimensions(x);
      const out = allocate([m, count]);
      for (let i = 0; i < m; i++) out.data.set(x.data.subarray(i * n + start, i * n + start + count), i * count);
      return out;
    },

    rows(xTensor, start, count) {
      const x = read(xTensor);
      const n = x.shape[1]!;
      const out = allocate([count, n]);
      out.data.set(x.data.subarray(start * n, (start + count) * n));
      return out;
    },

    store(cache, rows, start) {
      read(cache).data.set(read(rows).data, start * cache.shape[1]!);
    },

    roundActivations(xTensor, rounding) {
      const x = read(xTensor);
      const [m, k] = dimensions(x);
      const out = allocate([m, k]);
      out.data.set(roundActivations({ rows: m, cols: k, data: x.data }, rounding).data);
      return out;
    },

    crossEntropy(logitsTensor, targets) {
      const logits = read(logitsTensor);
      const [m, n] = dimensions(logits);
      const out = allocate([m]);
      for (let i = 0; i < m; i++) {
        const row = logits.data.subarray(i * n, (i + 1) * n);
        let largest = Number.NEGATIVE_INFINITY;
        for (const value of row) largest = Math.max(largest, value);
        let sum = 0;
        for (const value of row) sum += Math.exp(value - largest);
        out.data[i] = Math.log(sum) + largest - row[targets[i]!]!;
      }
      return out;
    },

    sample(logitsTensor, draws) {
      const logits = read(logitsTensor);
      const n = logits.shape[1]!;
      const out = allocate([draws.length]);
      for (const [i, draw] of draws.entries()) out.data[i] = sampleToken(logits.data.subarray(i * n, (i + 1) * n), draw);
      return out;
    },
  };

  /** Applies `normalise` to each segment of `length` values. */
  function normalised(tensor: DeviceTensor, length: number, normalise: (segment: Float32Array, out: Float32Array) => void): HostTensor {
    const x = read(tensor);
    const out = allocate(x.shape);
    for (let at = 0; at < x.data.length; at += length) normalise(x.data.subarray(at, at + length), out.data.subarray(at, at + length));
    return out;
  }
}

function dimensions({ shape }: DeviceTensor): [number, number] {
  return [shape[0]!, shape[1]!];
}
