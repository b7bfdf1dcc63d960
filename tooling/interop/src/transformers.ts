import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A Python with .ci/requirements.txt; `.ci/run` makes one. */
export const python = process.env.FEWBIT_PYTHON;

/** Whether that Python has a module, found without importing it. */
export function hasModule(name: string): boolean {
  if (!python) return false;
  const code = `import importlib.util, sys; sys.exit(importlib.util.find_spec("${name}") is None)`;
  return spawnSync(python, ['-c', code]).status === 0;
}

export interface TransformersRequest {
  /** A model directory. */
  readonly model: string;
  readonly ids: Uint32Array;
  readonly prompt: Uint32Array;
  readonly max_tokens: number;
  readonly windows: readonly Uint32Array[];
  /** Default float32. */
  readonly dtype?: 'bfloat16' | 'float16';
  /** Also ask each quantized layer for its weight, and run the model with those in float32. */
  readonly unpacked?: boolean;
  /** Also run the model on embeddings that are larger by a millionth. */
  readonly nudged?: boolean;
}

export interface TransformersAnswer {
  /** [ids, vocabulary] */
  readonly logits: Float32Array;
  readonly greedy: readonly number[];
  /** Of the inner predictions of the windows, nats. */
  readonly losses: readonly number[];
  /** As `logits`, with the weights that the layers hold; undefined unless asked for. */
  readonly unpacked: Float32Array | undefined;
  /** As `logits`, of embeddings that are larger by a millionth; undefined unless asked for. */
  readonly nudged: Float32Array | undefined;
}

/** transformers in a Python process of its own, which takes one request at a time. */
export interface Transformers {
  /** Throws what Python does, and where. */
  run(request: TransformersRequest): Promise<TransformersAnswer>;
  close(): Promise<void>;
}

interface Answer {
  readonly error?: string;
  readonly logits: string;
  readonly greedy: number[];
  readonly losses: number[];
  readonly unpacked?: string;
  readonly nudged?: string;
}

export function startTransformers(): Transformers {
  if (!python) throw new Error('FEWBIT_PYTHON names no Python');
  const script = fileURLToPath(new URL('../serve_transformers.py', import.meta.url));
  const server = spawn(python, [script], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, GPTQMODEL_CPU_WORKERS: '2' }, // without it GPTQModel stops on two cores
  });
  let said = '';
  server.stderr.on('data', (chunk) => {
    said = `${said}${chunk}`.slice(-10_000);
  });
  const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
  const ended = once(server, 'close');
  return {
    async run({ ids, prompt, windows, ...rest }) {
      const request = { ...rest, ids: [...ids], prompt: [...prompt], windows: windows.map((window) => [...window]) };
      server.stdin.write(`${JSON.stringify(request)}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`Python ended: ${said}`);
      const { error, logits, unpacked, nudged, ...answer } = JSON.parse(value) as Answer;
      if (error !== undefined) throw new Error(error);
      return {
        ...answer,
        logits: floats(logits),
        unpacked: unpacked ? floats(unpacked) : undefined,
        nudged: nudged ? floats(nudged) : undefined,
      };
    },
    async close() {
      server.stdin.end();
      await ended;
    },
  };
}

function floats(base64: string): Float32Array {
  const { buffer, byteOffset, byteLength } = Buffer.from(base64, 'base64');
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}
