import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createModelDirectory } from '@fewbit/checkpoint';
import { elementCount, fromFloat32, random } from '@fewbit/core';
import { embeddedModel } from '@fewbit/testkit';

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 256,
  intermediate_size: 512,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_hidden_layers: 3,
  vocab_size: 2048,
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  bos_token_id: 1,
  eos_token_id: 2,
};

/** A random llama with the tokenizer of the embedded model, whose rows are whole blocks of 256: no matrix falls back to a type of shorter blocks. */
export async function writeWideModel(output: string): Promise<void> {
  const writer = await createModelDirectory(output);
  const { normal } = random(11);
  const write = (name: string, shape: readonly number[], spread: number, mean = 0) => {
    const values = Float32Array.from({ length: elementCount(shape) }, () => mean + spread * normal());
    return writer.write(`${name}.weight`, fromFloat32(values, 'F32', shape));
  };
  const { hidden_size: hidden, intermediate_size: inner, vocab_size: vocabulary } = config;
  const matrix = (name: string, rows: number, cols: number) => write(name, [rows, cols], cols ** -0.5);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const block = `model.layers.${layer}`;
    for (const name of ['q_proj', 'o_proj']) await matrix(`${block}.self_attn.${name}`, hidden, hidden);
    for (const name of ['k_proj', 'v_proj']) await matrix(`${block}.self_attn.${name}`, hidden / 2, hidden);
    for (const name of ['gate_proj', 'up_proj']) await matrix(`${block}.mlp.${name}`, inner, hidden);
    await matrix(`${block}.mlp.down_proj`, hidden, inner);
    for (const name of ['input_layernorm', 'post_attention_layernorm']) await write(`${block}.${name}`, [hidden], 0.1, 1);
  }
  await write('model.norm', [hidden], 0.1, 1);
  await write('model.embed_tokens', [vocabulary, hidden], 1);
  await matrix('lm_head', vocabulary, hidden);
  await writer.file('config.json', JSON.stringify(config));
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) await writer.file(name, await readFile(join(embeddedModel, name)));
  await writer.commit();
}
