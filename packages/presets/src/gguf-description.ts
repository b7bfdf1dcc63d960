import type { GgufValue, ModelDirectory } from '@fewbit/checkpoint';
import { readSourceCard, version } from '@fewbit/pipeline';

/**
 * What a GGUF file says of itself in `general.*`, taken from the card of the model that it is made from, or from its file where that is GGUF too.
 * Source: ggml-org/ggml docs/gguf.md, "General metadata".
 */
export async function ggufDescription(directory: ModelDirectory): Promise<ReadonlyMap<string, GgufValue>> {
  const { name, hubName, fields } = await readSourceCard(directory);
  const described = new Map<string, GgufValue>([['general.name', text(name)], quantizer]);
  if (directory.description) {
    // of weights in float, who quantizes them now is who quantizes them
    const quantized = directory.config.quantization_config !== undefined;
    return new Map([...directory.description, ...(quantized ? [] : [quantizer])]);
  }
  for (const field of ['license', 'license_name', 'license_link'] as const) {
    const value = fields[field];
    if (typeof value === 'string') described.set(`general.${field.replace('_', '.')}`, text(value));
  }
  for (const [field, key] of [
    ['tags', 'general.tags'],
    ['language', 'general.languages'],
  ] as const) {
    const values = [fields[field] ?? []].flat().filter((value): value is string => typeof value === 'string');
    if (values.length > 0) described.set(key, { type: 'array', of: 'string', value: values });
  }
  if (hubName !== undefined) {
    const [organization = '', model = ''] = hubName.split('/');
    described.set('general.base_model.count', { type: 'u32', value: 1 });
    described.set('general.base_model.0.name', text(model));
    described.set('general.base_model.0.organization', text(organization));
    described.set('general.base_model.0.repo_url', text(`https://huggingface.co/${hubName}`));
  }
  return described;
}

const quantizer = ['general.quantized_by', text(`Fewbit ${version}`)] as const;

function text(value: string): GgufValue {
  return { type: 'string', value };
}
