import { FewbitError } from '@fewbit/core';
import type { ControlledEvaluateIndexOutput, ControlledEvaluateInputItem, Token } from 'node-llama-cpp';

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
  /** For each of `tokens` but the last: nats of the next one, and the likeliest. Takes a fraction of the time that all logits take. */
  predictions(tokens: ArrayLike<number>): Promise<{ readonly loss: number; readonly likeliest: number }[]>;
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
          async predictions(tokens) {
            await sequence.clearHistory();
            const input = Array.from(tokens, (token, i): ControlledEvaluateInputItem => {
              const filter = { tokens: [tokens[i + 1] as Token], includeSelected: true };
              return [
                token as Token,
                i + 1 < tokens.length ? { generateNext: { token: true, logits: { filter }, totalLogitWeight: true } } : {},
              ];
            });
            const outputs = await sequence.controlledEvaluate(input);
            return outputs.slice(0, -1).map((output, i) => prediction(output, tokens[i + 1] as Token));
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

/** At temperature 0 the token that is drawn is the likeliest, and its logit the largest. */
function prediction(output: ControlledEvaluateIndexOutput | undefined, target: Token): { loss: number; likeliest: number } {
  const { token, logits, totalLogitWeight } = output?.next ?? {};
  const [most, logit] = [token && logits?.get(token), logits?.get(target)];
  if (most === undefined || most === null || logit === undefined || totalLogitWeight === undefined) {
    throw new FewbitError('backend', 'llama.cpp returned no logits.');
  }
  return { loss: most + Math.log(totalLogitWeight) - logit, likeliest: token as number };
}

function byId(logits: Map<Token, number> | undefined): Float32Array {
  if (!logits) throw new FewbitError('backend', 'llama.cpp returned no logits.');
  const row = new Float32Array(logits.size);
  for (const [token, logit] of logits) row[token] = logit;
  return row;
}
