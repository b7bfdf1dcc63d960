import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);

/** Where the binary for this machine lies: in its own package, or built from the sources (`npm run build:native`); undefined where it is in neither. */
export function findAddon(): string | undefined {
  const built = fileURLToPath(new URL('../native/build/Release/fewbit_cpu.node', import.meta.url));
  try {
    return require.resolve(`${platformPackage()}/fewbit_cpu.node`);
  } catch {
    return existsSync(built) ? built : undefined;
  }
}

/** The package of prebuilt kernels for this platform: `@fewbit/kernels-cpu-linux-x64`, `…-linux-x64-musl`, `…-darwin-arm64` … */
export function platformPackage(): string {
  const { platform, arch } = process;
  const musl =
    platform === 'linux' && !(process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header.glibcVersionRuntime;
  return `@fewbit/kernels-cpu-${platform}-${arch}${musl ? '-musl' : ''}`;
}
