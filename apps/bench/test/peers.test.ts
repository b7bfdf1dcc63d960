import { ggmlTypeNames } from '@fewbit/formats';
import { planModel } from '@fewbit/models';
import { describe, expect, it } from 'vitest';
import { llamaCpp } from '../src/peers/llama-cpp.js';
import { onnxModel } from '../src/peers/onnx-file.js';
import { onnxruntimeModel } from '../src/peers/onnxruntime-model.js';
import { onnxruntimeProduct } from '../src/peers/onnxruntime-product.js';
import { planShape, shapeConfig } from '../src/shapes.js';

/** An optional package, or undefined where it is not installed. */
const optional = async <T>(load: () => Promise<T>) => load().catch(() => undefined);
const llama = await optional(() => import('node-llama-cpp'));
const onnx = await optional(() => import('onnxruntime-node'));

describe.skipIf(!llama)('llama.cpp', () => {
  it.each(['int4', 'int8'])('runs random weights like %s', async (format) => {
    const task = { prompt: Uint32Array.from({ length: 8 }, (_, i) => i + 3), generate: 2, contexts: [3, 8] };
    const peer = await llamaCpp({ plan: planShape('tiny'), format, group: 32, task, threads: 1 });
    if ('unavailable' in peer) throw new Error(peer.unavailable);
    expect(peer.type).toBe({ int4: 'Q4_0', int8: 'Q8_0' }[format]);
    expect(await peer.prefill()).toBeGreaterThan(0);
    expect(await peer.decode()).toBeGreaterThan(0);
    // twice: the second run begins where the first one did
    for (let run = 0; run < 2; run++) expect(await peer.batch!()).toBeGreaterThan(0);
    await peer.close();
  });

  it.each(ggmlTypeNames)('runs random weights of %s', async (format) => {
    const plan = planModel({ ...shapeConfig('tiny'), hidden_size: 256, intermediate_size: 512, num_hidden_layers: 1 });
    const task = { prompt: Uint32Array.of(3, 4, 5), generate: 1, contexts: [] };
    const peer = await llamaCpp({ plan, format, group: null, task, threads: 1 });
    if ('unavailable' in peer) throw new Error(peer.unavailable);
    expect(peer.type).toBe(format.toUpperCase());
    expect(await peer.decode()).toBeGreaterThan(0);
    await peer.close();
  });
});

describe.skipIf(!onnx)('onnxruntime', () => {
  const sizes = { m: 2, k: 64, n: 48, copies: 2, threads: 1 };

  it.each([
    ['f32', null],
    ['int4', 32],
    ['int8', 16],
  ] as const)('runs a product with %s weights', async (format, group) => {
    const peer = await onnxruntimeProduct({ ...sizes, format, group });
    if ('unavailable' in peer) throw new Error(peer.unavailable);
    expect(peer.type).toMatch(format === 'f32' ? /^MatMul$/ : /^MatMulNBits/);
    await peer.run();
    await peer.close();
  });

  it.each(['int4', 'int8'])('runs a Llama of random weights like %s', async (format) => {
    const task = { prompt: Uint32Array.from({ length: 8 }, (_, i) => i + 3), generate: 3, contexts: [] };
    const peer = await onnxruntimeModel({ plan: planShape('tiny'), format, group: 32, task, threads: 1 });
    if ('unavailable' in peer) throw new Error(peer.unavailable);
    expect(await peer.prefill()).toBeGreaterThan(0);
    expect(await peer.decode()).toBeGreaterThan(0);
    await peer.close();
  });

  it('computes what the weights that we write say', async () => {
    const { InferenceSession, Tensor } = onnx!;
    const [m, k, n] = [1, 32, 2];
    // codes 0 … 15 twice, then all 9: low nibble first; 8 stands for zero
    const codes = Uint8Array.from({ length: 32 }, (_, i) => (i < 16 ? ((2 * i) % 16) | (((2 * i + 1) % 16) << 4) : 0x99));
    const model = onnxModel({
      nodes: [{ op: 'MatMulNBits', inputs: ['x', 'codes', 'scales'], outputs: ['y'], attributes: { K: k, N: n, bits: 4, block_size: 32 } }],
      initializers: [
        { name: 'codes', dims: [n, 1, 16], data: codes },
        { name: 'scales', dims: [n], data: Float32Array.of(0.5, 2) },
      ],
      inputs: [{ name: 'x', type: 'float32', dims: [m, k] }],
      outputs: [{ name: 'y', type: 'float32', dims: [m, n] }],
    });
    const session = await InferenceSession.create(model);
    const x = Float32Array.from({ length: k }, (_, i) => i);
    const { y } = await session.run({ x: new Tensor('float32', x, [m, k]) });
    const dot = x.reduce((sum, value, i) => sum + value * ((i % 16) - 8), 0);
    const total = x.reduce((sum, value) => sum + value, 0);
    expect(Array.from(y!.data as Float32Array)).toEqual([0.5 * dot, 2 * total]);
    await session.release();
  });
});

describe('what a peer cannot do', () => {
  it('is said', async () => {
    const task = { prompt: Uint32Array.of(1), generate: 1, contexts: [] };
    const options = { plan: planShape('tiny'), group: 32, task, threads: 1 };
    expect(await llamaCpp({ ...options, format: 'int3' })).toEqual({ unavailable: expect.stringContaining('no type like int3') });
    expect(await llamaCpp({ ...options, format: 'q4_k' })).toEqual({
      unavailable: 'the blocks of q4_k have 256 inputs; the 64 of model.layers.0.self_attn.q_proj are no multiple',
    });
    const sizes = { m: 1, k: 64, n: 64, copies: 1, threads: 1 };
    expect(await onnxruntimeProduct({ ...sizes, format: 'int4', group: 48 })).toEqual({ unavailable: expect.stringContaining('not 48') });
    expect(await onnxruntimeProduct({ ...sizes, format: 'int3', group: 32 })).toEqual({
      unavailable: expect.stringContaining('like int3'),
    });
  });
});
