/** The hub's names of layouts; a float model and Fewbit's own layout have none. */
const hubNames: Readonly<Record<string, string>> = {
  'compressed-tensors': 'compressed-tensors',
  gptq: 'gptq',
  'gptq-v2': 'gptq',
  awq: 'awq',
  bnb: 'bitsandbytes',
  fp8: 'fp8',
  gguf: 'gguf',
};

/** Tags of the hub for a layout and its bits. */
export function layoutTags(layout: string, bitsPerWeight: number): string[] {
  const name = hubNames[layout];
  return ['fewbit', ...(name ? [name] : []), ...(bitsPerWeight < 16 ? [`${Math.floor(bitsPerWeight)}-bit`] : [])];
}

/** Whether a tag speaks of how weights are stored, which the card of the source says of the source. */
export function isStorageTag(tag: unknown): boolean {
  return typeof tag === 'string' && (/^\d+-bit$/.test(tag) || Object.values(hubNames).includes(tag));
}

/** The library that the hub shows how to load a model with. */
export function libraryOf(layout: string): string | undefined {
  return layout === 'gguf' || layout === 'fewbit' ? undefined : 'transformers';
}
