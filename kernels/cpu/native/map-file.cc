#include "map-file.h"

#if defined(_WIN32)
#if !defined(NOMINMAX)
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace fewbit {

namespace {

/** What a map's offset in its file is a multiple of. */
size_t granularity() {
#if defined(_WIN32)
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return info.dwAllocationGranularity;
#else
  return size_t(sysconf(_SC_PAGESIZE));
#endif
}

bool holds(uint64_t size, uint64_t offset, size_t length) { return length > 0 && offset <= size && length <= size - offset; }

}  // namespace

bool mapFile(OpenFile file, uint64_t offset, size_t length, FileMap &out) {
  const uint64_t begin = offset / granularity() * granularity();
  const size_t lead = size_t(offset - begin), size = lead + length;
#if defined(_WIN32)
  LARGE_INTEGER bytes;
  if (!GetFileSizeEx(file, &bytes) || !holds(uint64_t(bytes.QuadPart), offset, length)) return false;
  const HANDLE section = CreateFileMappingW(file, nullptr, PAGE_WRITECOPY, 0, 0, nullptr);
  if (section == nullptr) return false;
  void *at = MapViewOfFile(section, FILE_MAP_COPY, DWORD(begin >> 32), DWORD(begin), size);
  CloseHandle(section);  // the view keeps it
  if (at == nullptr) return false;
#else
  struct stat status;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || !holds(uint64_t(status.st_size), offset, length)) return false;
  int flags = MAP_PRIVATE;
#if defined(MAP_NORESERVE)
  flags |= MAP_NORESERVE;  // nobody writes to it
#endif
  void *at = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, file, off_t(begin));
  if (at == MAP_FAILED) return false;
#endif
  out = {static_cast<char *>(at), size, lead};
  return true;
}

void unmapFile(const FileMap &map) {
#if defined(_WIN32)
  UnmapViewOfFile(map.begin);
#else
  munmap(map.begin, map.size);
#endif
}

void discardPages(const FileMap &map) {
#if defined(_WIN32)
  VirtualUnlock(map.begin, map.size);  // of memory that is not locked: takes it out of the working set
#else
  madvise(map.begin, map.size, MADV_DONTNEED);
#endif
}

}  // namespace fewbit
