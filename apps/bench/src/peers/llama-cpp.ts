import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ggmlType } from '@fewbit/formats';
import { linears } from '@fewbit/models';
import type { LlamaModel, Token } from 'node-llama-cpp';
import { type Run, seconds } from '../take-turns.js';
import { likeFormats, likeType, writeLlama } from './llama-cpp-file.js';
import type { PeerProbe, Task } from './types.js';

/** llama.cpp by node-llama-cpp's sequence interface, over a GGUF file of random weights in a temporary folder. */
export const llamaCpp: PeerProbe = async ({ plan, format, task, threads }) => {
  const type = likeType(format);
  if (!type) return { unavailable: `llama.cpp has no type like ${format}; ${likeFormats.join(', ')} have one` };
  if (plan.architecture !== 'llama') return { unavailable: `no random llama.cpp model is made of architecture ${plan.architecture}` };
  const { block } = ggmlType(type);
  const odd = linears(plan).find(({ cols }) => cols % block !== 0);
  if (odd) return { unavailable: `the blocks of ${type} have ${block} inputs; the ${odd.cols} of ${odd.module} are no multiple` };

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
    const batch = task.contexts.length > 0 ? await openBatch(model, task, threads) : undefined;
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
      batch,
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

/** Sequences of one context, whose next tokens node-llama-cpp evaluates together where all of them are waited for. */
async function openBatch(model: LlamaModel, { prompt, generate, contexts }: Task, threads: number): Promise<Run> {
  const contextSize = prompt.length + generate + 1;
  const context = await model.createContext({ contextSize, batchSize: prompt.length, sequences: contexts.length, threads });
  const tokens = Array.from(prompt) as Token[];
  const sequences = contexts.map(() => context.getSequence());
  for (const [at, sequence] of sequences.entries()) await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(0, contexts[at]));
  return async () => {
    for (const [at, sequence] of sequences.entries()) {
      await sequence.eraseContextTokenRanges([{ start: contexts[at]!, end: sequence.nextTokenIndex }]);
    }
    const streams = sequences.map((sequence) => sequence.evaluate(tokens.slice(0, 1), { temperature: 0, yieldEogToken: true }));
    const time = await seconds(async () => {
      for (let i = 0; i < generate; i++) await Promise.all(streams.map((stream) => stream.next()));
    });
    for (const stream of streams) await stream.return();
    return (sequences.length * generate) / time;
  };
}
