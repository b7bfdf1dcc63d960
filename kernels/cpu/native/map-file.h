// Parts of files as memory, read by the system when they are used.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fewbit {

#if defined(_WIN32)
/** A HANDLE. */
using OpenFile = void *;
#else
/** A file descriptor. */
using OpenFile = int;
#endif

/** Whole pages; the file itself may be closed meanwhile. */
struct FileMap {
  char *begin;
  size_t size;
  /** Of the first byte asked for. */
  size_t lead;
};

/**
 * Maps `length` bytes from byte `offset`: what is written there is private to this process and never reaches the file. False where the system cannot, or
 * the file does not hold them.
 */
bool mapFile(OpenFile file, uint64_t offset, size_t length, FileMap &out);
void unmapFile(const FileMap &map);

/** Takes whole pages of a map out of memory, and what was written to them is lost: they are read again when they are used. */
void discardPages(const FileMap &map);

}  // namespace fewbit
