/** Where a command reads and writes: the process, or a test. */
export interface Io {
  /** Results. */
  stdout(text: string): void;
  /** Progress and messages. */
  stderr(text: string): void;
  /** Fires when the user interrupts. */
  readonly signal: AbortSignal;
}

/** What is common to all commands. */
export interface GlobalOptions {
  readonly threads?: number;
  readonly backend?: string;
  readonly json?: boolean;
  readonly plot?: string;
}
