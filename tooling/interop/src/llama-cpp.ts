import { FewbitError } from '@fewbit/core';
import type { Token } from 'node-llama-cpp';

/** llama.cpp, from the prebuilt binary of node-llama-cpp. */
export interface LlamaCpp {
  open(path: string, contextSize: number): Promise<LlamaCppModel>;
  close(): Promise<void>;
}

export interface LlamaCppModel {
  /** Ids of `text`, with those that the file says to add. */
  tokenize(text: string): readonly number[];
  /** Logits after each of `tokens`: [tokens][vocabulary]. */
  logits(tokens: ArrayLike<number>): Promise<Float32Array[]>;
  close(): Promise<void>;
}

/** Undefined, with the reason told to `refuse`, where the binary cannot run here. */
export async function openLlamaCpp(refuse: (reason: string) => void): Promise<LlamaCpp | undefined> {
  try {
    const { getLlama, LlamaLogLevel } = await import('node-llama-cpp');
    const llama = await getLlama({ gpu: false, build: 'never', maxThreads: 2, logLevel: LlamaLogLevel.error });
    return {
      async open(modelPath, contextSize) {
        const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
        const context = await model.createContext({ contextSize, batchSize: contextSize });
        const sequence = context.getSequence();
        return {
          tokenize(text) {
            const ids = [...model.tokenize(text)];
            return model.tokens.shouldPrependBosToken ? [model.tokens.bos!, ...ids] : ids;
          },
          async logits(tokens) {
            await sequence.clearHistory();
            const input = Array.from(tokens, (token): [Token, { generateNext: { logits: true } }] => [
              token as Token,
              { generateNext: { logits: true } },
            ]);
            const outputs = await sequence.controlledEvaluate(input);
            return outputs.map((output) => byId(output?.next.logits));
          },
          close: () => model.dispose(),
        };
      },
      close: () => llama.dispose(),
    };
  } catch (error) {
    refuse(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

function byId(logits: Map<Token, number> | undefined): Float32Array {
  if (!logits) throw new FewbitError('backend', 'llama.cpp returned no logits.');
  const row = new Float32Array(logits.size);
  for (const [token, logit] of logits) row[token] = logit;
  return row;
}
