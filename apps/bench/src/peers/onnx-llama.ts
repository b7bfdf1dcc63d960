import { linears, type ModelPlan } from '@fewbit/models';
import { type OnnxGraph, type OnnxNode, type OnnxTensor, type OnnxValue, onnxModel } from './onnx-file.js';
import { type OnnxFormat, onnxProduct, randomFloats } from './onnx-weights.js';

/** Bytes that one protobuf message can hold. */
const limit = 2 ** 31 - 1;

/** Bytes of the weights, by a little less than what they take; more than a file can hold is said by `fits`. */
export function fits(plan: ModelPlan, { bits, group }: OnnxFormat): boolean {
  const weights = linears(plan).reduce((sum, { rows, cols }) => sum + rows * cols, 0);
  const perWeight = bits === 32 ? 4 : bits / 8 + 4 / group;
  return weights * perWeight + plan.vocabulary * plan.hidden * (4 + 1 + 4 / group) < limit;
}

/**
 * A Llama of `plan`'s shape with random weights, as onnxruntime's own model builder lays it out: MatMulNBits, GroupQueryAttention with rotary positions inside. Inputs
 * `tokens` [1, m], `last` [1] (tokens so far − 1), `total`, `past.i.keys` and `past.i.values` [1, heads, earlier, headSize]; outputs `logits`
 * [1, 1, vocabulary] after the last token and `present.i.keys`, `present.i.values`.
 */
export function onnxLlama(plan: ModelPlan, format: OnnxFormat): Uint8Array {
  const { hidden, vocabulary, blocks, finalNorm, maxPositions } = plan;
  const { heads, keyValueHeads, headSize, rotary } = blocks[0]!.attention;
  const nodes: OnnxNode[] = [];
  const initializers: OnnxTensor[] = [
    randomFloats('embeddings', [vocabulary, hidden], 0),
    { name: 'gain', dims: [hidden], data: new Float32Array(hidden).fill(1) },
    { name: 'end', dims: [1], data: BigInt64Array.of(-1n) },
    ...turns('cosines', Math.cos),
    ...turns('sines', Math.sin),
  ];
  const inputs: OnnxValue[] = [
    { name: 'tokens', type: 'int64', dims: [1, 'm'] },
    { name: 'last', type: 'int32', dims: [1] },
    { name: 'total', type: 'int32', dims: [] },
  ];
  const outputs: OnnxValue[] = [{ name: 'logits', type: 'float32', dims: [1, 1, vocabulary] }];

  const add = (op: string, inputs: readonly string[], output: string, attributes: OnnxNode['attributes'] = {}) => {
    nodes.push({ op, inputs, outputs: [output], attributes });
    return output;
  };
  const product = (of: OnnxFormat, input: string, output: string, rows: number, cols: number) => {
    const made = onnxProduct(of, { input, output, k: cols, n: rows, seed: nodes.length });
    nodes.push(made.node);
    initializers.push(...made.initializers);
    return output;
  };
  const norm = (input: string, output: string) =>
    add('SimplifiedLayerNormalization', [input, 'gain'], output, { epsilon: `${finalNorm.epsilon}` });

  let residual = add('Gather', ['embeddings', 'tokens'], 'embedded');
  for (const { index, mlp } of blocks) {
    const name = (part: string) => `block.${index}.${part}`;
    const cache = (state: string) => [`${state}.${index}.keys`, `${state}.${index}.values`];
    const wide = mlp.down.cols;
    const input = norm(residual, name('norm'));
    nodes.push({
      op: 'GroupQueryAttention',
      inputs: [
        product(format, input, name('query'), heads * headSize, hidden),
        product(format, input, name('key'), keyValueHeads * headSize, hidden),
        product(format, input, name('value'), keyValueHeads * headSize, hidden),
        ...[...cache('past'), 'last', 'total', 'cosines', 'sines'],
      ],
      outputs: [name('attention'), ...cache('present')],
      attributes: { num_heads: heads, kv_num_heads: keyValueHeads, do_rotary: 1 },
    });
    const attended = add('Add', [residual, product(format, name('attention'), name('output'), hidden, heads * headSize)], name('attended'));
    const mlpInput = norm(attended, name('mlp.norm'));
    const gate = product(format, mlpInput, name('gate'), wide, hidden);
    const up = product(format, mlpInput, name('up'), wide, hidden);
    const silu = add('Mul', [gate, add('Sigmoid', [gate], name('sigmoid'))], name('silu'));
    const down = product(format, add('Mul', [silu, up], name('gated')), name('down'), hidden, wide);
    residual = add('Add', [attended, down], name('result'));
    for (const cached of cache('past')) inputs.push({ name: cached, type: 'float32', dims: [1, keyValueHeads, 'earlier', headSize] });
    for (const cached of cache('present')) outputs.push({ name: cached, type: 'float32', dims: [1, keyValueHeads, 'later', headSize] });
  }
  const last = add('Gather', [norm(residual, 'final'), 'end'], 'final.last', { axis: 1 });
  product(format.bits === 32 ? format : { ...format, bits: 8 }, last, 'logits', vocabulary, hidden);
  const graph: OnnxGraph = { nodes, initializers, inputs, outputs };
  return onnxModel(graph);

  function turns(name: string, of: (angle: number) => number): OnnxTensor[] {
    const { frequencies } = rotary!;
    const data = new Float32Array(maxPositions * frequencies.length);
    for (let at = 0; at < data.length; at++) data[at] = of(Math.floor(at / frequencies.length) * frequencies[at % frequencies.length]!);
    return [{ name, dims: [maxPositions, frequencies.length], data }];
  }
}
