/** Shows parts of open files in memory, where the system maps them, instead of copies. */
export interface FileMapper {
  /**
   * Bytes of a file where they lie, for as long as somebody knows them, whether the file is still open or not; undefined where they cannot be had so: read them
   * then. What is written to them stays in memory. A file that is cut short meanwhile ends the process when they are used.
   */
  map(descriptor: number, offset: number, length: number): Uint8Array | undefined;
  /** Takes such bytes out of memory until they are used again, and forgets what was written to them; does nothing to others. */
  release(bytes: Uint8Array): void;
}
