import {
  type Activation,
  type DeviceTensor,
  type HostMemory,
  type HostTensor,
  type Ops,
  referenceOps,
  roundingShape,
} from '@fewbit/kernels';
import * as id from './control.js';
import { embed } from './embed.js';
import type { Engine } from './engine.js';
import { matmul } from './matmul.js';

const activationIds: Readonly<Record<Activation, number>> = { silu: id.silu, gelu: id.gelu, 'gelu-tanh': id.geluTanh, relu: id.relu };

/** The ops that WebAssembly does faster than JavaScript; and `embed`, for tables in a form of the backend's own; the other copies (columns, rows, store) are left out. */
export function wasmOps(engine: Engine, { allocate, read, findWeight }: HostMemory): Partial<Ops> {
  const flat = (kernel: number, tensor: DeviceTensor, value: number, other?: DeviceTensor): HostTensor => {
    const x = read(tensor);
    const out = allocate(x.shape);
    const count = x.data.length;
    engine.run(kernel, Math.ceil(count / id.taskValues), [at(x), at(out), count, value, other ? at(read(other)) : 0]);
    return out;
  };
  /** Rows of `size` values in shares of about one task's worth: [rows, share, tasks]. */
  const shares = (count: number, size: number) => {
    const rows = count / size;
    const share = Math.max(1, Math.floor(id.taskValues / size));
    return { rows, share, tasks: Math.ceil(rows / share) };
  };
  const reference = referenceOps({ allocate, read });
  return {
    embed(tensor, tokens) {
      const table = findWeight(tensor);
      const out = allocate([tokens.length, table.shape[1]!]);
      embed(engine, table, tokens, out);
      return out;
    },

    matmul: (x, w, bias) => matmul(engine, allocate, read(x), findWeight(w), bias && read(bias)),

    add(aTensor, bTensor) {
      const [a, b] = [read(aTensor), read(bTensor)];
      const out = allocate(a.shape);
      const columns = a.shape.at(-1)!;
      const { rows, share, tasks } = shares(a.data.length, columns);
      const bRow = b.data.length === a.data.length ? columns * 4 : 0;
      engine.run(id.add, tasks, [at(a), at(b), at(out), rows, columns, bRow, share]);
      return out;
    },

    scale: (x, by) => flat(id.scale, x, by),
    softcap: (x, cap) => flat(id.softcap, x, cap),
    activate: (x, activation) => flat(id.activate, x, activationIds[activation]),
    gated: (gate, up, activation) => flat(id.gated, gate, activationIds[activation], up),

    rmsNorm(xTensor, gain, epsilon, gainOffset) {
      const [x, g] = [read(xTensor), read(gain)];
      const out = allocate(x.shape);
      const { rows, share, tasks } = shares(x.data.length, g.data.length);
      engine.run(id.rmsNorm, tasks, [at(x), at(g), at(out), rows, g.data.length, share, epsilon, gainOffset]);
      return out;
    },

    layerNorm(xTensor, gain, bias, epsilon) {
      const [x, g] = [read(xTensor), read(gain)];
      const out = allocate(x.shape);
      const { rows, share, tasks } = shares(x.data.length, g.data.length);
      engine.run(id.layerNorm, tasks, [at(x), at(g), at(out), rows, g.data.length, share, epsilon, at(read(bias))]);
      return out;
    },

    rotate(tensor, headSize, { frequencies, amplitude }, start) {
      const x = read(tensor);
      const [m, width] = [x.shape[0]!, x.shape[1]!];
      const out = allocate(x.shape);
      const pairs = frequencies.length;
      const table = engine.heap.allocate(pairs * 4);
      new Float32Array(engine.heap.memory.buffer, table, pairs).set(frequencies);
      engine.run(id.rotate, m, [at(x), at(out), m, width, headSize, table, pairs, amplitude, start], pairs * 8 + 64);
      engine.heap.free(table);
      return out;
    },

    attention(qTensor, k, v, { heads, keyValueHeads, headSize, scale, start, window = 0, softcap = 0 }) {
      const q = read(qTensor);
      const m = q.shape[0]!;
      const out = allocate(q.shape);
      const pages = [...k, ...v].map((page) => at(read(page)));
      const table = engine.heap.allocate(pages.length * 4);
      new Uint32Array(engine.heap.memory.buffer, table, pages.length).set(pages);
      const sizes = [m, heads, keyValueHeads, headSize, scale, start, window, softcap, k[0]!.shape[0]!];
      const values = [at(q), table, table + k.length * 4, at(out), ...sizes];
      const padded = Math.ceil(headSize / id.tileColumns) * id.tileColumns;
      const { queryRows, keyStep } = id;
      // In the order of the kernel: tile, state, scores, mixed, queries, weights, panels.
      const floats = 64 + queryRows * (4 + keyStep + padded + headSize + keyStep) + keyStep * padded;
      engine.run(id.attention, heads * Math.ceil(m / queryRows), values, floats * 4);
      engine.heap.free(table);
      return out;
    },

    roundActivations(tensor, rounding) {
      const x = read(tensor);
      const [m, k] = [x.shape[0]!, x.shape[1]!];
      const shape = roundingShape(rounding, k);
      if (!shape) return reference.roundActivations(tensor, rounding);
      const out = allocate(x.shape);
      const { rows, share, tasks } = shares(x.data.length, k);
      const { kind, group, steps, top, zero, emptyScale, scale, element, divisor, outlierThreshold } = shape;
      const mask = outlierThreshold === 0 ? 0 : engine.heap.allocate(k * 4 + 16);
      if (mask !== 0) engine.run(id.outlierMask, Math.ceil(k / id.maskColumns), [at(x), mask, m, k, outlierThreshold]);
      const values = [kind, steps, top, zero, emptyScale, scale, element.mantissa, element.largest, element.smallestNormal, divisor];
      engine.run(id.roundActivations, tasks, [at(x), at(out), rows, k, share, mask, group, ...values]);
      if (mask !== 0) engine.heap.free(mask);
      return out;
    },

    crossEntropy(tensor, targets) {
      const logits = read(tensor);
      const [m, n] = [logits.shape[0]!, logits.shape[1]!];
      const out = allocate([m]);
      const sums = engine.heap.allocate(m * 16);
      engine.run(id.crossEntropy, m, [at(logits), sums, n]);
      const pairs = new Float64Array(engine.heap.memory.buffer, sums, 2 * m);
      for (const [i, target] of targets.entries()) out.data[i] = Math.log(pairs[2 * i + 1]!) + pairs[2 * i]! - logits.data[i * n + target]!;
      engine.heap.free(sums);
      return out;
    },
  };
}

/** A tensor's address. */
function at(tensor: HostTensor): number {
  return tensor.data.byteOffset;
}
