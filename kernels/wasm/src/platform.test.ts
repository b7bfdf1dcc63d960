import { resolveObjectURL } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import { Worker as NodeWorker } from 'node:worker_threads';
import { afterEach, expect, it, vi } from 'vitest';
import { fastestBuild } from './load-build.js';
import { browser, currentPlatform } from './platform.js';
import { selfTest } from './self-test.js';
import { wasmBackend } from './wasm-backend.js';

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** A browser's `Worker`, as far as the backend uses it, over one of Node.js in which there is no `require`. */
class WebWorker {
  onmessage: (event: { data: unknown }) => void = () => undefined;
  onerror: (event: { message: string }) => void = () => undefined;
  readonly #worker: Promise<NodeWorker>;

  constructor(url: string) {
    const head = `const { parentPort } = require('node:worker_threads');
      globalThis.self = { postMessage: (data) => parentPort.postMessage(data) };
      parentPort.on('message', (data) => self.onmessage({ data }));`;
    this.#worker = resolveObjectURL(url)!
      .text()
      .then((program) => {
        const worker = new NodeWorker(`${head} ((require) => { ${program} })()`, { eval: true, execArgv: [] });
        worker.on('message', (data) => this.onmessage({ data }));
        worker.on('error', (error: Error) => this.onerror(error));
        return worker;
      });
  }

  postMessage(data: unknown): void {
    this.#worker.then((worker) => worker.postMessage(data)).catch(this.onerror);
  }

  terminate(): void {
    this.#worker.then((worker) => worker.terminate());
  }
}

function becomeBrowser(): void {
  vi.stubGlobal('Worker', WebWorker);
  vi.stubGlobal('fetch', async (url: URL) =>
    url.pathname.includes('generated') ? new Response(await readFile(url)) : new Response('', { status: 404, statusText: 'Not Found' }),
  );
}

it('runs where there are fetch and Web Workers but no Node.js, on a thread that must not sleep', async () => {
  const build = await fastestBuild(currentPlatform()); // Node 20 must be told to take relaxed SIMD
  becomeBrowser();
  vi.spyOn(Atomics, 'wait').mockImplementation(() => {
    throw new TypeError('Atomics.wait cannot be called in this context');
  });
  expect((await fastestBuild(browser)).instructions).toBe(build.instructions);
  const backend = await wasmBackend(await fastestBuild(browser), 3, browser);
  expect(backend.threads).toBe(3);
  expect(await selfTest(backend)).toBeUndefined();
  await backend.close();
});

it('says what could not be fetched, and which worker could not start', async () => {
  becomeBrowser();
  await expect(browser.read(new URL('file:///nowhere.wasm'))).rejects.toThrow('file:///nowhere.wasm: 404 Not Found');
  await expect(browser.startWorker('throw new Error("no such luck")', {})).rejects.toThrow('no such luck');
});
