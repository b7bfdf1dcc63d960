import { dirname } from 'node:path';
import { FewbitError } from '@fewbit/core';
import { freeSpace } from './free-space.js';

const noSpace = new Set(['ENOSPC', 'EDQUOT']);
const noPermission = new Set(['EACCES', 'EPERM', 'EROFS']);

/** The `output` error for a failed write to `path`, of `bytes` bytes where known. */
export async function outputError(cause: unknown, path: string, bytes?: number): Promise<FewbitError> {
  if (FewbitError.is(cause)) return cause;
  const { code = '', message } = cause as NodeJS.ErrnoException;
  return new FewbitError('output', await describe(code, message, path, bytes), { cause });
}

async function describe(code: string, message: string, path: string, bytes?: number): Promise<string> {
  if (noSpace.has(code)) {
    const needed = bytes === undefined ? '' : `, ${bytes} bytes to write`;
    const free = await freeSpace(dirname(path));
    return `The disk is full at ${path} (${code})${needed}${free === undefined ? '' : `, ${free} free`}: free some space, or write elsewhere.`;
  }
  if (noPermission.has(code)) return `${path} may not be written (${code}): check the permissions of its folder, or write elsewhere.`;
  return `${path} cannot be written: ${message}.`;
}
