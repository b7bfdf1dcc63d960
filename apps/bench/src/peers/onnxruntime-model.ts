import { sampler } from '@fewbit/runtime';
import type { OnnxValue, InferenceSession as Session, Tensor as TensorType } from 'onnxruntime-node';
import { seconds } from '../take-turns.js';
import { fits, onnxLlama } from './onnx-llama.js';
import { onnxFormat, onnxTypeName } from './onnx-weights.js';
import { sessionOptions } from './onnxruntime-product.js';
import type { PeerProbe } from './types.js';

/** A whole Llama in onnxruntime-node; keys and values go from one call to the next as its outputs do. */
export const onnxruntimeModel: PeerProbe = async ({ plan, format, group, task, threads }) => {
  const like = onnxFormat(format, group);
  if ('unavailable' in like) return like;
  if (plan.architecture !== 'llama') return { unavailable: `no random ONNX model is made of architecture ${plan.architecture}` };
  if (!fits(plan, like)) return { unavailable: 'the weights are more than the 2 GB of an ONNX file' };
  try {
    const { InferenceSession, Tensor } = await import('onnxruntime-node');
    const session = await InferenceSession.create(onnxLlama(plan, like), sessionOptions(threads));
    const sample = sampler();
    const { keyValueHeads, headSize } = plan.blocks[0]!.attention;
    const empty = () => new Tensor('float32', new Float32Array(0), [1, keyValueHeads, 0, headSize]);

    /** Runs tokens after `earlier` ones. */
    const step = async (tokens: Uint32Array, earlier: number, past: Past): Promise<{ logits: Float32Array; past: Past }> => {
      const total = earlier + tokens.length;
      const results = await session.run({
        tokens: new Tensor('int64', BigInt64Array.from(tokens, BigInt), [1, tokens.length]),
        last: new Tensor('int32', Int32Array.of(total - 1), [1]),
        total: new Tensor('int32', Int32Array.of(total), []),
        ...past,
      });
      return { logits: (results.logits as TensorType).data as Float32Array, past: presentAsPast(results) };
    };
    const nothing: Past = Object.fromEntries(session.inputNames.filter((name) => name.startsWith('past.')).map((name) => [name, empty()]));

    return {
      name: 'onnxruntime',
      type: onnxTypeName(like),
      prefill: async () => task.prompt.length / (await seconds(() => step(task.prompt, 0, nothing))),
      async decode() {
        let state = await step(task.prompt.subarray(0, 1), 0, nothing);
        const time = await seconds(async () => {
          for (let i = 1; i <= task.generate; i++) state = await step(Uint32Array.of(sample(state.logits)), i, state.past);
        });
        return task.generate / time;
      },
      close: () => session.release(),
    };
  } catch (error) {
    return { unavailable: `onnxruntime-node: ${error instanceof Error ? error.message : String(error)}` };
  }
};

type Past = Readonly<Record<string, OnnxValue>>;

function presentAsPast(results: Session.ReturnType): Past {
  const cached = Object.entries(results).filter(([name]) => name.startsWith('present.'));
  return Object.fromEntries(cached.map(([name, value]) => [name.replace('present.', 'past.'), value]));
}
