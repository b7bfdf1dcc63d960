/** Every reason for which Fewbit refuses or fails. `docs/errors.md` explains each. */
export const errorCodes = [
  'usage', // an option or argument that cannot be taken
  'unsupported', // an architecture, format, layout or method that is not there
  'checkpoint', // a checkpoint file that is damaged or contradicts itself
  'config', // a config.json or tokenizer.json that is missing, damaged or contradicts the tensors
  'calibration', // calibration or evaluation text that cannot serve
  'numeric', // NaN or Inf where a finite number is needed
  'output', // the output cannot be written
  'backend', // a kernel backend that cannot do what was asked
  'cancelled', // the caller aborted
] as const;
export type ErrorCode = (typeof errorCodes)[number];

const brand = Symbol.for('fewbit.error');

/** The one error type. The message says what, which value, and what to do. */
export class FewbitError extends Error {
  override readonly name = 'FewbitError';
  readonly [brand] = true;
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  /** True across copies of this package, where `instanceof` is not. */
  static is(error: unknown): error is FewbitError {
    return typeof error === 'object' && error !== null && brand in error;
  }
}
