import { createModelDirectory, type Written } from '@fewbit/checkpoint';
import { FewbitError, fromFloat32 } from '@fewbit/core';
import { compressedTensors, type FormatSpec } from '@fewbit/formats';
import { linears } from '@fewbit/models';
import { planShape, shapeConfig } from './shapes.js';
import { syntheticWeights } from './synthetic-weights.js';

/**
 * Writes random weights of a named shape as compressed-tensors has them: linears and head in codes, embedding and norms in bf16; without a tokenizer. Throws `usage` for a
 * format that compressed-tensors has no place for, `output` where the directory exists.
 */
export async function writeSynthetic(
  shape: string,
  path: string,
  format: FormatSpec,
  headFormat: FormatSpec,
  seed: number,
): Promise<Written> {
  const plan = planShape(shape);
  const source = syntheticWeights(plan, format, headFormat, seed);
  const head = plan.head.weight.replace(/\.weight$/, '');
  const coded = [...linears(plan), { module: head, rows: plan.vocabulary, cols: plan.hidden }];
  const specs = new Map(coded.map(({ module }) => [module, module === head ? headFormat : format]));
  for (const { module, rows, cols } of coded) {
    const reason = compressedTensors.rejects(specs.get(module)!, rows, cols);
    if (reason !== undefined) throw new FewbitError('usage', reason);
  }
  const norms = plan.blocks.flatMap(({ attentionNorm, mlpNorm }) => [attentionNorm.gain, mlpNorm.gain]);
  const floats = [...(plan.head.tied ? [] : [plan.embedding.tokens]), ...norms, plan.finalNorm.gain];

  const writer = await createModelDirectory(path);
  try {
    for (const { module } of coded) {
      const tensors = compressedTensors.pack((await source.quantized(module))!);
      for (const [local, tensor] of tensors) await writer.write(`${module}.${local}`, tensor);
    }
    for (const name of floats) {
      const { data, shape } = await source.vector(name);
      await writer.write(name, fromFloat32(data, 'BF16', shape));
    }
    await writer.file('config.json', JSON.stringify({ ...shapeConfig(shape), quantization_config: compressedTensors.describe(specs, []) }));
    return await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}
