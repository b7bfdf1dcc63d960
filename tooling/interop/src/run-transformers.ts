import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** A Python with torch, transformers and compressed-tensors; `.ci/run` makes one. */
export const python = process.env.FEWBIT_PYTHON;

/** Whether that Python has a module, found without importing it. */
export function hasModule(name: string): boolean {
  if (!python) return false;
  const code = `import importlib.util, sys; sys.exit(importlib.util.find_spec("${name}") is None)`;
  return spawnSync(python, ['-c', code]).status === 0;
}

const script = fileURLToPath(new URL('../run_transformers.py', import.meta.url));

export interface TransformersRequest {
  readonly ids: Uint32Array;
  readonly prompt: Uint32Array;
  readonly max_tokens: number;
  readonly windows: readonly Uint32Array[];
  /** Default float32. */
  readonly dtype?: 'bfloat16' | 'float16';
}

export interface TransformersAnswer {
  /** [ids, vocabulary] */
  readonly logits: Float32Array;
  readonly greedy: readonly number[];
  /** Mean over the inner predictions of the windows, nats. */
  readonly nll: number;
}

/** Loads a model directory in transformers and runs the request there. */
export async function runTransformers(model: string, request: TransformersRequest): Promise<TransformersAnswer> {
  if (!python) throw new Error('FEWBIT_PYTHON names no Python');
  const folder = await mkdtemp(join(tmpdir(), 'fewbit-request-'));
  try {
    const path = join(folder, 'request.json');
    await writeFile(
      path,
      JSON.stringify({ ...request, ids: [...request.ids], prompt: [...request.prompt], windows: request.windows.map((w) => [...w]) }),
    );
    const { stdout } = await promisify(execFile)(python, [script, model, path], {
      maxBuffer: 2 ** 30,
      env: { ...process.env, GPTQMODEL_CPU_WORKERS: '2' }, // without it GPTQModel stops on two cores
    });
    const answer = JSON.parse(stdout.slice(stdout.lastIndexOf('\n{') + 1)) as { logits: string; greedy: number[]; nll: number };
    const bytes = Buffer.from(answer.logits, 'base64');
    return { ...answer, logits: new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
