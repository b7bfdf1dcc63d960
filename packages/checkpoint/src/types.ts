import type { DType, Tensor, TensorName } from '@fewbit/core';
import type { GgufValue } from './gguf/types.js';

/** Random access to bytes: a file, memory, an HTTP range. */
export interface ByteSource {
  readonly name: string;
  readonly size: number;
  /** A copy of its own. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** The bytes where they lie, to be read only, beyond `close` too; undefined where that cannot be had. Absent where it never can. */
  map?(offset: number, length: number): Uint8Array | undefined;
  close(): Promise<void>;
}

export interface TensorInfo {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Bytes in the file. */
  readonly bytes: number;
}

/** A checkpoint's tensors, read one at a time by range: one file or many shards. */
export interface CheckpointReader {
  readonly tensors: ReadonlyMap<TensorName, TensorInfo>;
  /** To be read only: where the file is mapped, these are its own bytes, which stay beyond `close`. Throws `checkpoint` when there is no such tensor (names near ones). */
  read(name: TensorName): Promise<Tensor>;
  /** Takes a mapped tensor out of memory until it is used again; does nothing to others. Absent where nothing is mapped. */
  release?(tensor: Tensor): void;
  close(): Promise<void>;
}

/** The weight files, and the bytes of the tensors in them. */
export interface Written {
  readonly bytes: number;
  readonly files: readonly string[];
}

/** Contents by name. */
export type SideFiles = Readonly<Record<string, string>>;

/** Writes shards as tensors arrive; nothing is at the final path before `commit`, and nothing at all after an abort. */
export interface CheckpointWriter {
  write(name: TensorName, tensor: Tensor): Promise<void>;
  /** A side file of the output directory: config.json, tokenizer.json. Throws `usage` for a name that is no plain one, or a weight file's. */
  file(name: string, content: Uint8Array | string): Promise<void>;
  /**
   * Finishes the last shard and the index, lets `check` look at the directory where it still is, writes the last files that it returns (a
   * model card, which has the hashes of the others), and moves all to its place in one rename, once it is on the disk for good.
   * Nothing moves when `check` throws.
   */
  commit(check?: (path: string, written: Written) => Promise<SideFiles | undefined>): Promise<Written>;
  /** Removes everything written; harmless after commit. */
  abort(): Promise<void>;
}

/** A Hugging Face model directory, opened; a GGUF file shows itself as one too. */
export interface ModelDirectory {
  readonly path: string;
  /** config.json, parsed. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly checkpoint: CheckpointReader;
  /** Text of a side file (a model card among them), or undefined. */
  text(name: string): Promise<string | undefined>;
  /** What a GGUF file says of itself (`general.*`, `quantize.imatrix.*`) beside its config and tokenizer; absent for others. */
  readonly description?: ReadonlyMap<string, GgufValue>;
  /** Names of files that go along with a model and hold no weights: tokenizer*, generation_config.json, chat_template*, special_tokens_map.json, vocab, merges, LICENSE. */
  readonly companions: readonly string[];
  /** Content of a companion. */
  bytes(companion: string): Promise<Uint8Array>;
  close(): Promise<void>;
}
