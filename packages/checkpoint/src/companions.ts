import type { CheckpointWriter, ModelDirectory } from './types.js';

/** The hub's name of a model card; it is no companion, since it speaks of the original. */
export const modelCardFile = 'README.md';

const licence = /^(LICENSE|LICENCE|NOTICE|USE_POLICY)(\.|-|_|$)/i;

/** Files that a model needs beside its weights and config. */
const patterns = [
  /^tokenizer.*\.(json|model|jinja)$/,
  /^chat_template.*\.(json|jinja)$/,
  /^(vocab|merges).*\.(json|txt|bpe)$/,
  /^(special_tokens_map|added_tokens|generation_config|preprocessor_config)\.json$/,
  /^(spiece|sentencepiece.*)\.model$/,
  /\.tiktoken$/,
  licence,
];

export function isCompanion(name: string): boolean {
  return patterns.some((pattern) => pattern.test(name));
}

export function isLicence(name: string): boolean {
  return licence.test(name);
}

/** Copies the companion files byte for byte. */
export async function copyCompanions(from: ModelDirectory, writer: CheckpointWriter): Promise<void> {
  for (const name of from.companions) await writer.file(name, await from.bytes(name));
}
