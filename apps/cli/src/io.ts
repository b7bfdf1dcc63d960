import type { Readable, Writable } from 'node:stream';

/** Where a command reads and writes: the process, or a test. */
export interface Io {
  /** What a user types, or another program writes. */
  readonly stdin: Readable;
  /** Where lines are edited as they are typed; absent when stdin and stdout are not a terminal. */
  readonly terminal?: Writable;
  /** Results. */
  stdout(text: string): void;
  /** Progress and messages. */
  stderr(text: string): void;
  /** Whether stderr is a terminal that can redraw a line. */
  readonly interactive: boolean;
  /** Fires when the user interrupts. */
  readonly signal: AbortSignal;
}

/** What is common to all commands. */
export interface GlobalOptions {
  readonly threads?: number;
  readonly backend?: string;
  readonly json?: boolean;
}

/** One JSON document and nothing else. */
export function printJson(io: Io, document: unknown): void {
  io.stdout(`${JSON.stringify(document, null, 2)}\n`);
}
