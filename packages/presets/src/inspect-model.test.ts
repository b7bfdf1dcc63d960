import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createModelDirectory, openModelDirectory } from '@fewbit/checkpoint';
import { fromFloat32, random } from '@fewbit/core';
import { embeddedModel, fewbitError, temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { inspectModel, openBackend, planQuantize, quantizePretrained } from './index.js';

const root = temporaryFolder();
const configOf = (path: string) => JSON.parse(readFileSync(join(path, 'config.json'), 'utf8')) as Record<string, unknown>;

describe('inspectModel', () => {
  it('names a method that is not read, and takes its model for none in float', async () => {
    const model = join(root, 'unread');
    cpSync(embeddedModel, model, { recursive: true });
    const plain = await inspectModel(model);
    expect(plain).not.toHaveProperty('unread');
    for (const [quantization_config, unread] of [
      [{ quant_method: 'foo', bits: 4 }, 'foo'],
      [{ bits: 4 }, 'null'],
    ] as const) {
      writeFileSync(join(model, 'config.json'), JSON.stringify({ ...configOf(embeddedModel), quantization_config }));
      const found = await inspectModel(model);
      expect(found).toMatchObject({ unread, modules: plain.modules });
      expect(found).not.toHaveProperty('loads');
    }
  });

  it('knows the type of scales from the tensors: of int4 by FP8, vLLM has a product with BF16 alone', async () => {
    const { backend } = await openBackend();
    for (const [dtype, loads] of [
      ['BF16', ['vllm', 'transformers']],
      ['F16', ['transformers']],
    ] as const) {
      const [model, output] = [join(root, dtype), join(root, `${dtype} rounded`)];
      await writeModel(model, dtype);
      const job = { model, method: 'rtn', format: 'int4', group: 128, activations: 'fp8' };
      await quantizePretrained({ ...job, output }, { backend });
      expect((await inspectModel(output)).loads).toEqual(loads);
      const planned = planQuantize({ ...job, output: join(root, 'never'), target: 'vllm' }, { backend });
      if (dtype === 'BF16') expect((await planned).layers).toBe(7);
      else
        await expect(planned).rejects.toEqual(fewbitError('unsupported', /scales must be BF16, not F16; start from the model in bfloat16/));
    }
    await backend.close();
  });

  it('sees groups of columns out of order, which transformers has given up', async () => {
    const { backend } = await openBackend();
    const [model, output, grouped] = ['plain', 'in order', 'out of order'].map((name) => join(root, name)) as [string, string, string];
    await writeModel(model, 'BF16');
    await quantizePretrained({ model, output, method: 'rtn', format: 'int4', group: 32 }, { backend });
    await backend.close();
    expect((await inspectModel(output)).loads).toEqual(['vllm', 'transformers']);
    const { checkpoint, close } = await openModelDirectory(output);
    const writer = await createModelDirectory(grouped);
    for (const name of checkpoint.tensors.keys()) await writer.write(name, await checkpoint.read(name));
    const groups = Int32Array.from({ length: 128 }, (_, i) => i % 4);
    const data = new Uint8Array(groups.buffer);
    await writer.write('model.layers.0.self_attn.q_proj.weight_g_idx', { dtype: 'I32', shape: [128], data });
    await writer.file('config.json', readFileSync(join(output, 'config.json')));
    await writer.commit();
    await close();
    expect((await inspectModel(grouped)).loads).toEqual(['vllm']);
  });
});

/** One random block whose sizes are 128. */
async function writeModel(path: string, dtype: 'BF16' | 'F16'): Promise<void> {
  const writer = await createModelDirectory(path);
  const { normal } = random(3);
  const write = (name: string, shape: number[]) => {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => normal() * 0.1);
    return writer.write(`${name}.weight`, fromFloat32(values, dtype, shape));
  };
  const block = 'model.layers.0';
  const linears = [
    'self_attn.q_proj',
    'self_attn.k_proj',
    'self_attn.v_proj',
    'self_attn.o_proj',
    'mlp.gate_proj',
    'mlp.up_proj',
    'mlp.down_proj',
  ];
  for (const name of linears) await write(`${block}.${name}`, [128, 128]);
  for (const name of [`${block}.input_layernorm`, `${block}.post_attention_layernorm`, 'model.norm']) await write(name, [128]);
  await write('model.embed_tokens', [32, 128]);
  const config = {
    model_type: 'llama',
    hidden_size: 128,
    intermediate_size: 128,
    num_attention_heads: 2,
    num_key_value_heads: 2,
    num_hidden_layers: 1,
    vocab_size: 32,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    tie_word_embeddings: true,
  };
  await writer.file('config.json', JSON.stringify(config));
  await writer.commit();
}
