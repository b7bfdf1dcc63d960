import { readDocuments } from '@fewbit/calibration';
import { scoredWindows } from '@fewbit/eval';
import { convertPretrained, type OpenedBackend, openPretrained, type QuantizeJob, quantizePretrained } from '@fewbit/presets';
import { greedy, relativeDistance } from './compare.js';
import type { Subject } from './subjects.js';
import type { Transformers, TransformersRequest } from './transformers.js';

/** A checkpoint that Fewbit wrote. */
export interface WrittenTrial extends Pick<TransformersRequest, 'dtype' | 'unpacked'> {
  /** What is asked of it. */
  readonly subject: Subject;
  /** The program decodes the weights and rounds no inputs: it is compared with the float model that Fewbit decodes to. Default false. */
  readonly decodes?: boolean;
  /** Where the quantized model is. */
  readonly output: string;
  readonly backend: OpenedBackend['backend'];
  readonly transformers: Transformers;
  /** Windows of 128 tokens whose perplexity is compared; logits are those of the first. Default 1. */
  readonly windows?: number;
  /** Tokens to generate. Default 24. */
  readonly maxTokens?: number;
}

export interface TransformersTrial extends WrittenTrial {
  readonly recipe: Omit<QuantizeJob, 'model' | 'output'>;
}

/** How far transformers, running what Fewbit wrote, is from Fewbit's runtime. */
export interface TransformersAgreement {
  /** ‖ours − theirs‖ / ‖theirs‖ */
  readonly logits: number;
  /** The same in float32 with the weights that transformers' layers were found to hold; undefined unless asked for. */
  readonly unpacked: number | undefined;
  readonly greedy: { readonly ours: readonly number[]; readonly theirs: readonly number[] };
  /** |ours / theirs − 1| */
  readonly perplexity: number;
}

/** Writes a model by a recipe and runs it in both programs. */
export async function agreeWithTransformers(trial: TransformersTrial): Promise<TransformersAgreement> {
  const { subject, recipe, output, backend } = trial;
  await quantizePretrained({ ...recipe, model: subject.path, output }, { backend });
  return agreeOnWritten(trial);
}

/** Runs a model in both programs. */
export async function agreeOnWritten(trial: WrittenTrial): Promise<TransformersAgreement> {
  const { subject, output, backend, transformers, dtype, unpacked, decodes = false, windows: count = 1, maxTokens = 24 } = trial;
  const float = `${output}-float`;
  if (decodes) await convertPretrained({ model: output, output: float, layout: 'float' });
  const { model, tokenizer, close } = await openPretrained(decodes ? float : output, backend);
  try {
    const encode = (part: string, addSpecialTokens: boolean) => tokenizer.encode(part, { addSpecialTokens });
    const documents = await readDocuments(subject.text);
    const windows = scoredWindows(documents, { protocol: 'gptq', context: 128, encode })
      .slice(0, count)
      .map(({ tokens }) => tokens);
    const [ids] = windows as [Uint32Array];
    const prompt = encode(subject.prompt, true);
    const asked = { model: output, ids, prompt, max_tokens: maxTokens, windows, ...(dtype && { dtype }), ...(unpacked && { unpacked }) };
    const theirs = await transformers.run(asked);
    const { data } = await model.logits(ids);
    const losses: number[] = [];
    for (const tokens of windows) losses.push(...(await model.score(tokens)));
    const nll = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    return {
      logits: relativeDistance(data, theirs.logits),
      unpacked: theirs.unpacked && relativeDistance(data, theirs.unpacked),
      greedy: { ours: await greedy(model, prompt, maxTokens), theirs: theirs.greedy },
      perplexity: Math.abs(Math.exp(nll - theirs.nll) - 1),
    };
  } finally {
    await close();
  }
}
