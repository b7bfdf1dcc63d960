import { readFile } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';

/** The compiled kernels, and the instructions that they use, in words. */
export interface Build {
  readonly module: WebAssembly.Module;
  readonly instructions: string;
}

/** The build with fused multiply-add where the engine takes it, else the plain one. Throws where neither runs. */
export async function fastestBuild(): Promise<Build> {
  const build = (await relaxedBuild()) ?? (await plainBuild());
  if (!build) throw new Error('this JavaScript engine has no WebAssembly SIMD or threads');
  return build;
}

export async function relaxedBuild(): Promise<Build | undefined> {
  const code = await read('fewbit-relaxed.wasm');
  // Node 20 knows relaxed SIMD but hides it; later versions need no flag.
  if (!WebAssembly.validate(code)) setFlagsFromString('--experimental-wasm-relaxed-simd');
  return compile(code, 'SIMD with fused multiply-add');
}

export async function plainBuild(): Promise<Build | undefined> {
  return compile(await read('fewbit.wasm'), 'SIMD');
}

async function compile(code: Uint8Array<ArrayBuffer>, instructions: string): Promise<Build | undefined> {
  return WebAssembly.validate(code) ? { module: await WebAssembly.compile(code), instructions } : undefined;
}

/** `generated` stands beside both `src` and `dist`. */
async function read(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const url = new URL(`../generated/${name}`, import.meta.url);
  try {
    return new Uint8Array(await readFile(url));
  } catch (cause) {
    throw new Error(`generated/${name} cannot be read: build @fewbit/kernels-wasm or install it again`, { cause });
  }
}
