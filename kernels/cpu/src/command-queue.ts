import { FewbitError } from '@fewbit/core';
import type { Engine } from './addon.js';

/** In the order of native/commands.h. */
const commands = [
  'matmul',
  'matmulShort',
  'matmulQuantized',
  'matmulLevels',
  'addSparse',
  'widenRows',
  'unpackRows',
  'unpackLevels',
  'putEntries',
  'pickRows',
  'copyRows',
  'permuteColumns',
  'storePage',
  'attention',
  'rmsNorm',
  'layerNorm',
  'rotate',
  'add',
  'scale',
  'softcap',
  'activate',
  'gated',
  'crossEntropy',
  'sample',
  'roundActivations',
  'discardPages',
  'packCodes',
  'packLevels',
] as const;
/** By name. */
export const commandIds = Object.fromEntries(commands.map((name, id) => [name, id])) as Readonly<Record<(typeof commands)[number], number>>;

/**
 * Ops written down, to run in one crossing on threads of the engine's own: a token of a small model is hundreds of ops of microseconds. They run in
 * the order of their coming, so memory may be used again as soon as its last op is written down.
 */
export interface CommandQueue {
  /** Operands as native/commands.cc reads them, addresses as numbers, flags as 0 and 1; after them `shape`, then `tail` behind its length. */
  push(
    command: keyof typeof commandIds,
    operands: readonly (number | boolean)[],
    shape?: readonly (number | boolean)[],
    tail?: Uint32Array | Float32Array,
  ): void;
  /** Runs what is written down, now. */
  settle(): void;
  /** Runs it while JavaScript goes on. */
  finish(): Promise<void>;
  /** Begins with what is written down, while JavaScript goes on. It reads `arrays` of JavaScript's, which are kept until then. */
  begin(arrays: readonly unknown[]): void;
  /** What `body` writes down, for `append`: it does not run. */
  capture(body: () => void): Float64Array;
  append(commands: Float64Array): void;
}

const none: readonly number[] = [];

export function commandQueue(engine: Pick<Engine, 'submit' | 'settle' | 'finish'>): CommandQueue {
  let list = new Float64Array(4096);
  let length = 0;
  /** Calls of `finish` that have not ended. */
  let running = 0;
  const held = new Set<readonly unknown[]>();
  /** Of what nobody waited for: those hear of it who wait next. */
  let broken: unknown;

  const submit = () => {
    if (length > 0) engine.submit(list, length);
    length = 0;
  };
  const reserve = (end: number) => {
    if (end <= list.length) return;
    const longer = new Float64Array(Math.max(end, 2 * list.length));
    longer.set(list.subarray(0, length));
    list = longer;
  };
  const finish = async () => {
    if (broken) throw broken;
    if (length === 0 && running === 0) return;
    submit();
    running++;
    try {
      await engine.finish();
    } catch (error) {
      throw failure(error);
    } finally {
      running--;
    }
  };
  return {
    push(command, operands, shape = none, tail) {
      const end = length + 1 + operands.length + shape.length + (tail ? 1 + tail.length : 0);
      reserve(end);
      list[length++] = commandIds[command];
      for (let i = 0; i < operands.length; i++) list[length++] = Number(operands[i]);
      for (let i = 0; i < shape.length; i++) list[length++] = Number(shape[i]);
      if (!tail) return;
      list[length++] = tail.length;
      list.set(tail, length);
      length = end;
    },
    capture(body) {
      const waiting = list.slice(0, length);
      length = 0;
      try {
        body();
        return list.slice(0, length);
      } finally {
        list.set(waiting);
        length = waiting.length;
      }
    },
    append(commands) {
      const end = length + commands.length;
      reserve(end);
      list.set(commands, length);
      length = end;
    },
    settle() {
      if (broken) throw broken;
      if (length === 0 && running === 0) return;
      submit();
      try {
        engine.settle();
      } catch (error) {
        throw failure(error);
      }
    },
    finish,
    begin(arrays) {
      held.add(arrays);
      finish()
        .catch((error) => {
          broken = error;
        })
        .finally(() => held.delete(arrays));
    },
  };
}

function failure(cause: unknown): FewbitError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new FewbitError('backend', `The native kernels failed (${reason}): use a smaller model or shorter sequences if memory is short.`, {
    cause,
  });
}
