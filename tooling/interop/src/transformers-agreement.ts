import { readDocuments } from '@fewbit/calibration';
import { scoredWindows } from '@fewbit/eval';
import { convertPretrained, type OpenedBackend, openPretrained, type QuantizeJob, quantizePretrained } from '@fewbit/presets';
import type { ModelOptions } from '@fewbit/runtime';
import { comparePerplexities, greedy, type PerplexityAgreement, relativeDistance } from './compare.js';
import type { Subject } from './subjects.js';
import type { Transformers, TransformersRequest } from './transformers.js';

/** A checkpoint that Fewbit wrote. */
export interface WrittenTrial extends Pick<TransformersRequest, 'dtype' | 'unpacked' | 'nudged'> {
  /** What is asked of it. */
  readonly subject: Subject;
  /** The program decodes the weights and rounds no inputs: it is compared with the float model that Fewbit decodes to. Default false. */
  readonly decodes?: boolean;
  /** What Fewbit rounds the inputs of codes to, beside what the checkpoint asks for. Default as `openModel` has it. */
  readonly activations?: ModelOptions['activations'];
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
export interface TransformersAgreement extends PerplexityAgreement {
  /** ‖ours − theirs‖ / ‖theirs‖ */
  readonly logits: number;
  /** The same in float32 with the weights that transformers' layers were found to hold; undefined unless asked for. */
  readonly unpacked: number | undefined;
  /** How far transformers is from itself where embeddings are larger by a millionth; undefined unless asked for. */
  readonly nudged: number | undefined;
  readonly greedy: { readonly ours: readonly number[]; readonly theirs: readonly number[] };
}

/** Writes a model by a recipe and runs it in both programs. */
export async function agreeWithTransformers(trial: TransformersTrial): Promise<TransformersAgreement> {
  const { subject, recipe, output, backend } = trial;
  await quantizePretrained({ ...recipe, model: subject.path, output }, { backend });
  return agreeOnWritten(trial);
}

/** Runs a model in both programs. */
export async function agreeOnWritten(trial: WrittenTrial): Promise<TransformersAgreement> {
  const { subject, output, backend, transformers, dtype, unpacked, nudged, activations, decodes = false } = trial;
  const { windows: count = 1, maxTokens = 24 } = trial;
  const float = `${output}-float`;
  if (decodes) await convertPretrained({ model: output, output: float, layout: 'float' });
  const { model, tokenizer, close } = await openPretrained(decodes ? float : output, backend, activations && { activations });
  try {
    const encode = (part: string, addSpecialTokens: boolean) => tokenizer.encode(part, { addSpecialTokens });
    const documents = await readDocuments(subject.text);
    const windows = scoredWindows(documents, { protocol: 'gptq', context: 128, encode })
      .slice(0, count)
      .map(({ tokens }) => tokens);
    const [ids] = windows as [Uint32Array];
    const prompt = encode(subject.prompt, true);
    const options = { ...(dtype && { dtype }), ...(unpacked && { unpacked }), ...(nudged && { nudged }) };
    const asked = { model: output, ids, prompt, max_tokens: maxTokens, windows, ...options };
    const theirs = await transformers.run(asked);
    const { data } = await model.logits(ids);
    const losses: number[] = [];
    for (const tokens of windows) losses.push(...(await model.score(tokens)));
    return {
      logits: relativeDistance(data, theirs.logits),
      unpacked: theirs.unpacked && relativeDistance(data, theirs.unpacked),
      nudged: theirs.nudged && relativeDistance(theirs.nudged, theirs.logits),
      greedy: { ours: await greedy(model, prompt, maxTokens), theirs: theirs.greedy },
      ...comparePerplexities(theirs.losses.map((loss, i) => loss - losses[i]!)),
    };
  } finally {
    await close();
  }
}
