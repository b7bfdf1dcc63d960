import { random } from '@fewbit/core';
import { onnxModel } from './onnx-file.js';
import { onnxFormat, onnxProduct, onnxTypeName } from './onnx-weights.js';
import type { MatmulPeerProbe } from './types.js';

/** The product of onnxruntime-node: MatMul for f32, MatMulNBits for int4 and int8 in groups. */
export const onnxruntimeProduct: MatmulPeerProbe = async ({ m, k, n, format, group, copies, threads }) => {
  const like = onnxFormat(format, group);
  if ('unavailable' in like) return like;
  try {
    const { InferenceSession, Tensor } = await import('onnxruntime-node');
    const names = Array.from({ length: copies }, (_, index) => `y${index}`);
    const products = names.map((output, seed) => onnxProduct(like, { input: 'x', output, k, n, seed }));
    const model = onnxModel({
      nodes: products.map(({ node }) => node),
      initializers: products.flatMap(({ initializers }) => initializers),
      inputs: [{ name: 'x', type: 'float32', dims: [m, k] }],
      outputs: names.map((name) => ({ name, type: 'float32', dims: [m, n] })),
    });
    const session = await InferenceSession.create(model, sessionOptions(threads));
    const { normal } = random(0);
    const feeds = { x: new Tensor('float32', Float32Array.from({ length: m * k }, normal), [m, k]) };
    const fetches = Object.fromEntries(names.map((name) => [name, new Tensor('float32', new Float32Array(m * n), [m, n])]));
    return {
      name: 'onnxruntime',
      type: onnxTypeName(like),
      run: () => session.run(feeds, fetches),
      close: () => session.release(),
    };
  } catch (error) {
    return { unavailable: `onnxruntime-node: ${error instanceof Error ? error.message : String(error)}` };
  }
};

export const sessionOptions = (threads: number) =>
  ({ executionProviders: ['cpu'], intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 3 }) as const;
