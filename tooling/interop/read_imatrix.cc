// Reads an imatrix file by llama.cpp's own loader, the one of llama-quantize, out of libllama-common.so, and prints what it found as lines:
//   chunks N size N legacy 0|1 metadata 0|1, then datasets, then each entry with its counts and sums.
// The types are those of llama.cpp's common/imatrix-loader.h.
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

struct common_imatrix_entry {
  std::vector<float> sums;
  std::vector<int64_t> counts;
};

struct common_imatrix {
  std::map<std::string, common_imatrix_entry> entries;
  std::vector<std::string> datasets;
  int32_t chunk_count = 0;
  int32_t chunk_size = 0;
  bool is_legacy = false;
  bool has_metadata = false;
};

bool common_imatrix_load(const std::string &path, common_imatrix &imatrix);

int main(int, char **arguments) {
  common_imatrix imatrix;
  if (!common_imatrix_load(arguments[1], imatrix)) return 1;
  std::printf("chunks %d size %d legacy %d metadata %d\n", imatrix.chunk_count, imatrix.chunk_size, imatrix.is_legacy, imatrix.has_metadata);
  for (const auto &dataset : imatrix.datasets) std::printf("dataset %s\n", dataset.c_str());
  for (const auto &[name, entry] : imatrix.entries) {
    std::printf("entry %s counts", name.c_str());
    for (const auto count : entry.counts) std::printf(" %lld", static_cast<long long>(count));
    std::printf(" sums");
    for (const float sum : entry.sums) std::printf(" %.9g", static_cast<double>(sum));
    std::printf("\n");
  }
}
