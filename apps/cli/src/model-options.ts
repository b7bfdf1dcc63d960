import { keyValueCacheNames, parseKeyValueCache } from '@fewbit/presets';
import type { ModelOptions } from '@fewbit/runtime';
import type { Command } from 'commander';
import { oneOf } from './parse-option.js';

const precisions = ['int16', 'int8', 'f32'] as const;

export interface ModelFlags {
  readonly activations: string;
  readonly kvCache?: string;
}

/** The options of commands that run a model. */
export function addModelOptions(command: Command): Command {
  return command
    .option(
      '--activations <type>',
      `what the inputs of layers in codes are rounded to: int16, int8 (faster, less exact), f32 (not at all: integer codes are decoded)`,
      precisions[0],
    )
    .option(
      '--kv-cache <type>',
      `how keys and values are kept: ${keyValueCacheNames.join(', ')} (default: as the model says, else f16 where the backend has it)`,
    );
}

/** Throws `usage` with the choices. */
export function modelOptionsOf({ activations, kvCache }: ModelFlags): ModelOptions {
  return {
    activations: oneOf('activations', precisions, activations),
    ...(kvCache !== undefined && { keyValues: parseKeyValueCache(kvCache) }),
  };
}
