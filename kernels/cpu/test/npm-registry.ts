import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename } from 'node:path';

/** A registry of some tarballs, as npm asks one, on this machine alone; everything else is not found. */
export async function npmRegistry(tarballs: readonly string[]) {
  const files = new Map(tarballs.map((path) => [`/${basename(path)}`, readFileSync(path)]));
  const manifests = tarballs.map((path) => {
    const text = execFileSync('tar', ['-xOf', path, 'package/package.json'], { encoding: 'utf8' });
    return { file: basename(path), manifest: JSON.parse(text) as { name: string; version: string } };
  });
  const server = createServer(({ url }, response) => {
    const path = decodeURIComponent(url!);
    const tarball = files.get(path);
    const found = manifests.find(({ manifest }) => path === `/${manifest.name}`);
    if (tarball) return response.end(tarball);
    if (!found) return response.writeHead(404).end('{}');
    const { name, version } = found.manifest;
    const integrity = `sha512-${createHash('sha512')
      .update(files.get(`/${found.file}`)!)
      .digest('base64')}`;
    const dist = { tarball: `${address()}/${found.file}`, integrity };
    response.end(JSON.stringify({ name, 'dist-tags': { latest: version }, versions: { [version]: { ...found.manifest, dist } } }));
  });
  const address = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: address(), close: () => server.close() };
}
