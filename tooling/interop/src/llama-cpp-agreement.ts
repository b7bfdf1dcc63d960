import { readDocuments } from '@fewbit/calibration';
import { type OpenedBackend, openPretrained, quantizePretrained } from '@fewbit/presets';
import { openAsLlamaCpp } from './as-llama-cpp.js';
import { comparePerplexities, likeliest, loss, type PerplexityAgreement } from './compare.js';
import type { LlamaCpp } from './llama-cpp.js';
import type { Subject } from './subjects.js';

export interface LlamaCppTrial {
  readonly subject: Subject;
  /** A GGUF type or mix. */
  readonly format: string;
  /** Where the file is written. */
  readonly output: string;
  readonly backend: OpenedBackend['backend'];
  readonly llamaCpp: LlamaCpp;
  /** As many documents of the text are taken as have so many, the last one cut. Default 700. */
  readonly predictions?: number;
  /** Longest part of a document. Default 192. */
  readonly tokens?: number;
  /** Also run Fewbit with inputs rounded as llama.cpp rounds them. Default false. */
  readonly alike?: boolean;
}

/** How far llama.cpp, running the GGUF file that Fewbit wrote, is from Fewbit's runtime. */
export interface LlamaCppAgreement {
  /** Ids of each document. */
  readonly ids: readonly { readonly ours: readonly number[]; readonly theirs: readonly number[] }[];
  /** |theirs / ours − 1| over all predictions. */
  readonly perplexity: number;
  /** The same where both programs round inputs, and its standard error: what chance makes of it; undefined unless asked for. */
  readonly alike: PerplexityAgreement | undefined;
  /** Share of the predictions whose likeliest token is the same. */
  readonly sameTopOne: number;
}

/** Rounds a model to nearest in a GGUF format and runs the file in both programs. */
export async function agreeWithLlamaCpp(trial: LlamaCppTrial): Promise<LlamaCppAgreement> {
  const { subject, format, output, backend, llamaCpp, predictions = 700, tokens: longest = 192, alike = false } = trial;
  await quantizePretrained({ layout: 'gguf', method: 'rtn', format, model: subject.path, output }, { backend });
  const file = `${output}/model.gguf`;
  const ours = await openPretrained(file, backend);
  const rounding = alike ? await openAsLlamaCpp(output, backend) : undefined;
  const theirs = await llamaCpp.open(file, Math.max(256, longest));
  try {
    const ids: { ours: number[]; theirs: number[] }[] = [];
    const differences: number[] = [];
    const roundedDifferences: number[] = [];
    let same = 0;
    for (const document of (await readDocuments(subject.text)).map((text) => text.slice(0, 4 * longest))) {
      if (differences.length >= predictions) break;
      const tokens = ours.tokenizer.encode(document).subarray(0, Math.min(longest, predictions - differences.length + 1));
      if (tokens.length < 2) continue;
      ids.push({ ours: [...tokens], theirs: theirs.tokenize(document).slice(0, tokens.length) });
      const predicted = await theirs.predictions(tokens);
      const rounded = await rounding?.score(tokens);
      const { data, cols } = await ours.model.logits(tokens);
      for (const [i, their] of predicted.entries()) {
        const our = data.subarray(i * cols, (i + 1) * cols);
        differences.push(their.loss - loss(our, tokens[i + 1]!));
        if (rounded) roundedDifferences.push(their.loss - rounded[i]!);
        if (likeliest(our) === their.likeliest) same++;
      }
    }
    return {
      ids,
      perplexity: comparePerplexities(differences).perplexity,
      alike: rounding && comparePerplexities(roundedDifferences),
      sameTopOne: same / differences.length,
    };
  } finally {
    await theirs.close();
    await ours.close();
    await rounding?.close();
  }
}
