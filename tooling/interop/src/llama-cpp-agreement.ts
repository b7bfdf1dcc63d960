import { readDocuments } from '@fewbit/calibration';
import { type OpenedBackend, openPretrained, quantizePretrained } from '@fewbit/presets';
import { likeliest, loss } from './compare.js';
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
  /** Of the text, cut at `tokens`. Default 4. */
  readonly documents?: number;
  /** Default 192. */
  readonly tokens?: number;
}

/** How far llama.cpp, running the GGUF file that Fewbit wrote, is from Fewbit's runtime. */
export interface LlamaCppAgreement {
  /** Ids of each document. */
  readonly ids: readonly { readonly ours: readonly number[]; readonly theirs: readonly number[] }[];
  /** |theirs / ours − 1| over all predictions. */
  readonly perplexity: number;
  /** Share of the predictions whose likeliest token is the same. */
  readonly sameTopOne: number;
}

/** Rounds a model to nearest in a GGUF format and runs the file in both programs. */
export async function agreeWithLlamaCpp(trial: LlamaCppTrial): Promise<LlamaCppAgreement> {
  const { subject, format, output, backend, llamaCpp, documents: most = 4, tokens: longest = 192 } = trial;
  await quantizePretrained({ layout: 'gguf', method: 'rtn', format, model: subject.path, output }, { backend });
  const file = `${output}/model.gguf`;
  const ours = await openPretrained(file, backend);
  const theirs = await llamaCpp.open(file, 256);
  try {
    const documents = (await readDocuments(subject.text)).slice(0, most).map((document) => document.slice(0, 600));
    const ids: { ours: number[]; theirs: number[] }[] = [];
    let [difference, count, same] = [0, 0, 0];
    for (const document of documents) {
      const tokens = ours.tokenizer.encode(document).subarray(0, longest);
      ids.push({ ours: [...tokens], theirs: theirs.tokenize(document).slice(0, longest) });
      const { data, cols } = await ours.model.logits(tokens);
      for (const [i, their] of (await theirs.logits(tokens)).slice(0, -1).entries()) {
        const our = data.subarray(i * cols, (i + 1) * cols);
        difference += loss(their, tokens[i + 1]!) - loss(our, tokens[i + 1]!);
        if (likeliest(our) === likeliest(their)) same++;
        count++;
      }
    }
    return { ids, perplexity: Math.abs(Math.exp(difference / count) - 1), sameTopOne: same / count };
  } finally {
    await theirs.close();
    await ours.close();
  }
}
