/** What the backend needs of the program that runs it: Node.js or a browser. */
export interface Platform {
  /** The bytes of a file of this package. */
  read(url: URL): Promise<Uint8Array<ArrayBuffer>>;
  /** Makes the engine take relaxed SIMD where it knows it but hides it. */
  allowRelaxedSimd(): Promise<void>;
  /** Starts a worker of `program`, which defines `run(data)` and may `post(text)`, and gives it `data`; resolves once it has posted a message, rejects where it ends or fails before. */
  startWorker(program: string, data: unknown): Promise<ThreadWorker>;
}

export interface ThreadWorker {
  /** `heard` is called after each message that the worker posts from now on. */
  listen(heard: () => void): void;
  /** Keeps the process alive, and no longer. */
  ref(): void;
  unref(): void;
  terminate(): unknown;
}

export function currentPlatform(): Platform {
  return typeof process === 'object' && process.versions?.node !== undefined ? node : browser;
}

/** What a worker's program begins with. */
export const nodeHead = `
const { parentPort } = require('node:worker_threads');
const post = (text) => parentPort.postMessage(text);
parentPort.once('message', run);
`;
const browserHead = `
const post = (text) => self.postMessage(text);
self.onmessage = ({ data }) => run(data);
`;

/** Takes Node's modules without an import, which bundlers for browsers would stumble over. */
const node: Platform = {
  async read(url) {
    const { readFile } = process.getBuiltinModule('node:fs/promises');
    return new Uint8Array(await readFile(url));
  },

  async allowRelaxedSimd() {
    const { setFlagsFromString } = process.getBuiltinModule('node:v8');
    setFlagsFromString('--experimental-wasm-relaxed-simd');
  },

  async startWorker(program, data) {
    const { Worker } = process.getBuiltinModule('node:worker_threads');
    const worker = new Worker(nodeHead + program, { eval: true, execArgv: [] });
    try {
      await new Promise<void>((resolve, reject) => {
        worker.once('message', () => resolve());
        worker.once('error', reject);
        worker.once('exit', () => reject(new Error('a worker ended at its start')));
        worker.postMessage(data);
      });
    } catch (error) {
      await worker.terminate();
      throw error;
    }
    // Without a listener an error event would end the process; the failure is reported where the result is missing.
    worker.on('error', () => undefined);
    worker.unref();
    return {
      listen: (heard) => void worker.on('message', heard),
      ref: () => worker.ref(),
      unref: () => worker.unref(),
      terminate: () => worker.terminate(),
    };
  },
};

/** Then a page has no memory that it could share with workers. */
const notIsolated = 'the page is not cross-origin isolated, for which its server has to send COOP and COEP headers';

export const browser: Platform = {
  async read(url) {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url.href}: ${response.status} ${response.statusText}`);
    return new Uint8Array(await response.arrayBuffer());
  },

  async allowRelaxedSimd() {},

  async startWorker(program, data) {
    if (globalThis.crossOriginIsolated === false) throw new Error(notIsolated);
    const url = URL.createObjectURL(new Blob([browserHead, program], { type: 'text/javascript' }));
    const worker = new Worker(url);
    try {
      await new Promise<void>((resolve, reject) => {
        worker.onmessage = () => resolve();
        worker.onerror = ({ message }) => reject(new Error(message));
        worker.postMessage(data);
      });
      return {
        listen: (heard) => {
          worker.onmessage = heard;
        },
        ref: () => undefined,
        unref: () => undefined,
        terminate: () => worker.terminate(),
      };
    } catch (error) {
      worker.terminate();
      throw error;
    } finally {
      URL.revokeObjectURL(url);
    }
  },
};
