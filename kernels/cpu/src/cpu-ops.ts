import type { DeviceTensor, HostMemory, Ops } from '@fewbit/kernels';
import { activationIds, type Engine } from './addon.js';
import type { WeightForm } from './weight-forms.js';

/** The op table over a native engine; activations are rounded by the reference. Operands are read before the result is made, so that an op that throws leaves nothing behind. */
export function cpuOps(engine: Engine, { allocate, read, readWeight }: HostMemory): Omit<Ops, 'roundActivations'> {
  const data = (tensor: DeviceTensor) => read(tensor).data;
  const columnsOf = (tensor: DeviceTensor) => tensor.shape.at(-1)!;
  /** Runs a kernel that fills a new tensor of x's shape. */
  const like = (x: DeviceTensor, fill: (x: Float32Array, out: Float32Array, count: number) => void) => {
    const from = data(x);
    const out = allocate(x.shape);
    fill(from, out.data, from.length);
    return out;
  };
  /** `count` values from place `first` of each of `rows` rows of x. */
  const copied = (x: DeviceTensor, first: number, rows: number, count: number, indices?: Uint32Array) => {
    const from = data(x);
    const out = allocate([rows, count]);
    engine.copyRows(from, first, columnsOf(x), indices, out.data, 0, count, rows, count);
    return out;
  };
  return {
    embed(table, tokens) {
      const n = columnsOf(table);
      const weight = readWeight(table);
      if (!('form' in weight) || (weight.form as WeightForm).kind !== 'bf16') return copied(table, 0, tokens.length, n, tokens);
      const out = allocate([tokens.length, n]);
      engine.widenRows(weight.data, tokens, out.data, tokens.length, n);
      return out;
    },

    matmul(x, w, bias) {
      const [m, k, n] = [x.shape[0]!, x.shape[1]!, w.shape[0]!];
      const weight = readWeight(w);
      const form = 'form' in weight ? (weight.form as WeightForm) : undefined;
      const operands = [data(x), weight.data, bias && data(bias)] as const;
      const out = allocate([m, n]);
      if (form?.kind === 'codes') engine.matmulQuantized(...operands, out.data, m, ...form.shape);
      else if (form?.kind === 'bf16') engine.matmulShort(...operands, out.data, m, k, n);
      else engine.matmul(...operands, out.data, m, k, n);
      return out;
    },

    add(a, b) {
      const right = data(b);
      const n = columnsOf(a);
      return like(a, (left, out, count) => engine.add(left, right, out, count / n, n, right.length !== count));
    },

    scale: (x, by) => like(x, (from, out, count) => engine.scale(from, out, count, by)),

    rmsNorm(x, gain, epsilon, gainOffset) {
      const gains = data(gain);
      const n = gains.length;
      return like(x, (from, out, count) => engine.rmsNorm(from, gains, out, count / n, n, epsilon, gainOffset));
    },

    layerNorm(x, gain, bias, epsilon) {
      const [gains, biases] = [data(gain), data(bias)];
      const n = gains.length;
      return like(x, (from, out, count) => engine.layerNorm(from, gains, biases, out, count / n, n, epsilon));
    },

    rotate(x, headSize, { frequencies, amplitude }, start) {
      const [m, width] = [x.shape[0]!, x.shape[1]!];
      return like(x, (from, out) => engine.rotate(from, out, m, width, headSize, frequencies, frequencies.length, amplitude, start));
    },

    attention(q, k, v, { heads, keyValueHeads, headSize, scale, start, window = 0, softcap = 0 }) {
      const [keys, values] = [data(k), data(v)];
      const m = q.shape[0]!;
      return like(q, (queries, out) =>
        engine.attention(queries, keys, values, out, m, heads, keyValueHeads, headSize, start, window, scale, softcap),
      );
    },

    gated(gate, up, activation) {
      const ups = data(up);
      return like(gate, (gates, out, count) => engine.gated(gates, ups, out, count, activationIds[activation]));
    },

    activate: (x, activation) => like(x, (from, out, count) => engine.activate(from, out, count, activationIds[activation])),
    softcap: (x, cap) => like(x, (from, out, count) => engine.softcap(from, out, count, cap)),
    columns: (x, start, count) => copied(x, start, x.shape[0]!, count),
    rows: (x, start, count) => copied(x, start * columnsOf(x), count, columnsOf(x)),

    store(cache, rows, start) {
      const n = columnsOf(cache);
      engine.copyRows(data(rows), 0, n, undefined, data(cache), start * n, n, rows.shape[0]!, n);
    },

    crossEntropy(logits, targets) {
      const [m, n] = [logits.shape[0]!, logits.shape[1]!];
      const rows = data(logits);
      const out = allocate([m]);
      engine.crossEntropy(rows, targets, out.data, m, n);
      return out;
    },
  };
}
