import { FewbitError } from '@fewbit/core';
import {
  type Activation,
  commonPageShape,
  type DeviceTensor,
  drawNumbers,
  type HostMemory,
  type HostTensor,
  isPage,
  type Ops,
  type PageTensor,
  pageNumbers,
  pageShapeOf,
  referenceOps,
  roundingNumbers,
  roundingParts,
} from '@fewbit/kernels';
import * as id from './control.js';
import { embed, rowsAtOnce } from './embed.js';
import type { Engine } from './engine.js';
import { matmul } from './matmul.js';
import { orderOf, permuteColumns } from './permute-columns.js';
import { roundPart } from './round-part.js';

const activationIds: Readonly<Record<Activation, number>> = { silu: id.silu, gelu: id.gelu, 'gelu-tanh': id.geluTanh, relu: id.relu };

/** All ops, as jobs of the engine. */
export function wasmOps(engine: Engine, { allocate, find, findAny, read, free }: HostMemory): Ops {
  const flat = (kernel: number, tensor: DeviceTensor, value: number, other?: DeviceTensor): HostTensor => {
    const x = find(tensor);
    const out = allocate(x.shape);
    const count = x.data.length;
    engine.run(kernel, Math.ceil(count / id.taskValues), [at(x), at(out), count, value, other ? at(find(other)) : 0]);
    return out;
  };
  /** Rows of `size` values in shares of about one task's worth: [rows, share, tasks]. */
  const shares = (count: number, size: number) => {
    const rows = count / size;
    const share = Math.max(1, Math.floor(id.taskValues / size));
    return { rows, share, tasks: Math.ceil(rows / share) };
  };
  /** `rows` rows of `bytes` each, from one address to another; the strides are bytes between rows. */
  const copy = (from: number, fromStride: number, to: number, toStride: number, bytes: number, rows: number) => {
    const share = Math.max(1, Math.floor((id.taskValues * 4) / Math.max(1, bytes)));
    engine.run(id.copyRows, Math.ceil(rows / share), [from, fromStride, to, toStride, bytes, rows, share]);
  };
  const reference = referenceOps({ allocate, read });
  const weightOf = (tensor: DeviceTensor) => {
    const weight = findAny(tensor);
    if (!isPage((weight as PageTensor).form)) return weight;
    throw new FewbitError('usage', `A page of shape [${tensor.shape.join(', ')}] of a KV cache is no weight.`);
  };
  return {
    embed(tensor, tokens) {
      const table = weightOf(tensor);
      const out = allocate([tokens.length, table.shape[1]!]);
      const order = orderOf(table);
      const rows = order === undefined ? out : allocate(out.shape);
      embed(engine, table, tokens, rows);
      if (order === undefined) return out;
      permuteColumns(engine, rows, out, order, true);
      free(rows);
      return out;
    },

    matmul(x, w, bias) {
      const weight = weightOf(w);
      const order = orderOf(weight);
      const input = order === undefined ? find(x) : allocate(x.shape);
      if (order !== undefined) permuteColumns(engine, find(x), input, order, false);
      const out = matmul(engine, allocate, input, weight, bias && find(bias));
      if (order !== undefined) free(input);
      return out;
    },

    add(aTensor, bTensor) {
      const [a, b] = [find(aTensor), find(bTensor)];
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
      const [x, g] = [find(xTensor), find(gain)];
      const out = allocate(x.shape);
      const { rows, share, tasks } = shares(x.data.length, g.data.length);
      engine.run(id.rmsNorm, tasks, [at(x), at(g), at(out), rows, g.data.length, share, epsilon, gainOffset]);
      return out;
    },

    layerNorm(xTensor, gain, bias, epsilon) {
      const [x, g] = [find(xTensor), find(gain)];
      const out = allocate(x.shape);
      const { rows, share, tasks } = shares(x.data.length, g.data.length);
      engine.run(id.layerNorm, tasks, [at(x), at(g), at(out), rows, g.data.length, share, epsilon, at(find(bias))]);
      return out;
    },

    rotate(tensor, headSize, { frequencies, amplitude }, start) {
      const x = find(tensor);
      const [m, width] = [x.shape[0]!, x.shape[1]!];
      const out = allocate(x.shape);
      const pairs = frequencies.length;
      const values = [at(x), at(out), width, headSize, amplitude, start, pairs];
      engine.run(id.rotate, m, values, { operands: frequencies, scratch: pairs * 8 + 64 });
      return out;
    },

    attention(qTensor, k, v, { heads, keyValueHeads, headSize, scale, start, window = 0, softcap = 0 }) {
      const q = find(qTensor);
      const m = q.shape[0]!;
      const out = allocate(q.shape);
      const [keys, values] = [k, v].map((pages) => pages.map((page) => findAny(page) as PageTensor)) as [PageTensor[], PageTensor[]];
      const sizes = [m, heads, keyValueHeads, headSize, scale, start, window, softcap, k[0]!.shape[0]!, k.length];
      const shapes = [keys, values].flatMap((pages) => pageNumbers(commonPageShape(pages, headSize)));
      const padded = Math.ceil(headSize / id.tileColumns) * id.tileColumns;
      const { queryRows, keyStep } = id;
      // In the order of the kernel: tile, state, scores, mixed, queries, weights, panels, decoded, q.
      const floats = 64 + queryRows * (4 + keyStep + padded + headSize + keyStep + headSize) + keyStep * (padded + headSize);
      const tasks = keyValueHeads * Math.ceil((m * (heads / keyValueHeads)) / queryRows);
      const operands = [...keys, ...values].map(at);
      engine.run(id.attention, tasks, [at(q), at(out), ...sizes, ...shapes], { operands, scratch: floats * 4 });
      return out;
    },

    columns(tensor, start, count) {
      const x = find(tensor);
      const [m, n] = [x.shape[0]!, x.shape[1]!];
      const out = allocate([m, count]);
      copy(at(x) + start * 4, n * 4, at(out), count * 4, count * 4, m);
      return out;
    },

    rows(tensor, start, count) {
      const x = find(tensor);
      const bytes = x.shape[1]! * 4;
      const out = allocate([count, x.shape[1]!]);
      copy(at(x) + start * bytes, bytes, at(out), bytes, bytes, count);
      return out;
    },

    store(cache, rows, start) {
      const [to, from] = [findAny(cache) as PageTensor, find(rows)];
      const [m, n] = [from.shape[0]!, from.shape[1]!];
      const shape = pageShapeOf(to);
      if (!to.form) return copy(at(from), n * 4, at(to) + start * n * 4, n * 4, n * 4, m);
      const share = Math.max(1, Math.floor(id.taskValues / n));
      const values = [at(from), at(to), m, n, share, 0, ...roundingNumbers(shape.rounding), start, ...pageNumbers(shape)];
      engine.run(id.storePage, Math.ceil(m / share), values, { scratch: n });
    },

    roundActivations(tensor, rounding) {
      const x = find(tensor);
      const parts = roundingParts(rounding, x.shape[1]!);
      if (!parts) return reference.roundActivations(tensor, rounding);
      const out = allocate(x.shape);
      for (const part of parts) roundPart(engine, x, out, part);
      return out;
    },

    crossEntropy(tensor, targets) {
      const logits = find(tensor);
      const [m, n] = [logits.shape[0]!, logits.shape[1]!];
      const out = allocate([m]);
      for (let row = 0; row < m; row += rowsAtOnce) {
        const operands = targets.subarray(row, row + rowsAtOnce);
        engine.run(id.crossEntropy, operands.length, [at(logits) + row * n * 4, at(out) + row * 4, n], { operands });
      }
      return out;
    },

    sample(tensor, draws) {
      const logits = find(tensor);
      const out = allocate([draws.length]);
      const operands = draws.flatMap(drawNumbers);
      engine.run(id.sample, draws.length, [at(logits), at(out), logits.shape[1]!], { operands, scratch: 64 + id.digitSumBytes });
      return out;
    },
  };
}

/** A tensor's address. */
function at(tensor: HostTensor): number {
  return tensor.data.byteOffset;
}
