import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

const types: Readonly<Record<string, string>> = {
  '': 'text/html',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/** What makes a page cross-origin isolated, without which it has no shared memory. */
const isolation = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

/** Serves `files` by path, and the folders of `folders` by their first part. */
export async function serve(options: {
  files: ReadonlyMap<string, Uint8Array | string>;
  folders: Readonly<Record<string, string>>;
  isolated: boolean;
}): Promise<{ url: string; close(): Promise<void> }> {
  const { files, folders, isolated } = options;
  const server = createServer(async ({ url = '/' }, response) => {
    const [, folder, name] = url.split('/');
    const body = files.get(url) ?? (folders[folder!] && name && (await readFile(join(folders[folder!]!, name)).catch(() => undefined)));
    const headers = { 'Content-Type': types[extname(url)] ?? 'application/octet-stream', ...(isolated && isolation) };
    response.writeHead(body === undefined ? 404 : 200, headers).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
