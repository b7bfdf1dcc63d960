import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linears } from '@fewbit/models';
import type { Token } from 'node-llama-cpp';
import { seconds } from '../take-turns.js';
import { likeType, writeLlama } from './llama-cpp-file.js';
import type { PeerProbe } from './types.js';

/** llama.cpp by node-llama-cpp's sequence interface, over a GGUF file of random weights in a temporary folder. */
export const llamaCpp: PeerProbe = async ({ plan, format, task, threads }) => {
  const type = likeType[format];
  if (!type) return { unavailable: `llama.cpp has no type like ${format}; ${Object.keys(likeType).join(', ')} have one` };
  if (plan.architecture !== 'llama') return { unavailable: `no random llama.cpp model is made of architecture ${plan.architecture}` };
  const odd = linears(plan).find(({ cols }) => cols % 32 !== 0);
  if (odd) return { unavailable: `llama.cpp's blocks have 32 inputs; the ${odd.cols} of ${odd.module} are no multiple` };

  const folder = await mkdtemp(join(tmpdir(), 'fewbit-bench-'));
  const path = join(folder, 'model.gguf');
  try {
    const { getLlama, LlamaLogLevel } = await import('node-llama-cpp');
    await writeLlama(path, plan, type);
    const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: LlamaLogLevel.error });
    const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
    const contextSize = Math.min(plan.maxPositions, Math.max(task.prompt.length, task.generate) + 64);
    const context = await model.createContext({ contextSize, batchSize: Math.min(contextSize, task.prompt.length), threads });
    const sequence = context.getSequence();
    const prompt = Array.from(task.prompt) as Token[];
    return {
      name: 'llama.cpp (node-llama-cpp)',
      type: type.toUpperCase(),
      async prefill() {
        await sequence.clearHistory();
        return prompt.length / (await seconds(() => sequence.evaluateWithoutGeneratingNewTokens(prompt)));
      },
      async decode() {
        await sequence.clearHistory();
        const tokens = sequence.evaluate(prompt.slice(0, 1), { temperature: 0, yieldEogToken: true });
        await tokens.next();
        const time = await seconds(async () => {
          for (let i = 0; i < task.generate; i++) await tokens.next();
        });
        await tokens.return();
        return task.generate / time;
      },
      async close() {
        await llama.dispose();
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    return { unavailable: error instanceof Error ? error.message : String(error) };
  }
};
