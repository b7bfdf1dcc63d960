import { isObject, parseJsonObject } from './parse-json.js';
import type { ModelDirectory } from './types.js';

/** Side files that older programs wrote, with the method that they mean where they do not say it. Looked at only when config.json has nothing. */
const sideFiles = [
  { name: 'quantize_config.json', method: 'gptq' },
  { name: 'quant_config.json', method: 'awq' },
] as const;

/**
 * How a model directory says that it is quantized: `quantization_config` of config.json (or of its `text_config`, or under the old name
 * `compression_config`), else a side file; undefined for a float model. Throws `config` for a side file that is not a JSON object.
 */
export async function quantizationConfig({ config, text }: Pick<ModelDirectory, 'config' | 'text'>): Promise<unknown> {
  const nested = isObject(config.text_config) ? config.text_config.quantization_config : undefined;
  const inline = config.quantization_config ?? nested ?? config.compression_config;
  if (inline !== undefined && inline !== null) return inline;
  for (const { name, method } of sideFiles) {
    const content = await text(name);
    if (content !== undefined) return { quant_method: method, ...parseJsonObject(new TextEncoder().encode(content), name, 'config') };
  }
  return undefined;
}
