// What check.cc compares with: random operands, and the distance between two sets of kernels.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "kernels.h"

namespace fewbit {

inline std::mt19937 generator(1);

inline Index upTo(Index most) { return 1 + Index(generator() % most); }
inline bool either() { return generator() % 2 == 0; }
inline Index smallestOf(Index a, Index b) { return a < b ? a : b; }

template <class Number = float>
std::vector<Number> normals(Index count) {
  std::normal_distribution<float> normal;
  std::vector<Number> values(count);
  for (Number &value : values) value = normal(generator);
  return values;
}

inline std::vector<uint8_t> codesBelow(Index count, int limit) {
  std::vector<uint8_t> codes(count);
  for (uint8_t &code : codes) code = uint8_t(generator() % limit);
  return codes;
}

/** Rows of a table of `rows`. */
inline std::vector<uint32_t> someRows(Index count, Index rows) {
  std::vector<uint32_t> indices(count);
  for (uint32_t &index : indices) index = uint32_t(generator() % rows);
  return indices;
}

template <class Number>
double distance(const std::vector<Number> &got, const std::vector<Number> &want) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < want.size(); i++) {
    difference += std::pow(double(got[i]) - want[i], 2);
    size += std::pow(double(want[i]), 2);
  }
  return std::sqrt(difference / std::fmax(size, 1e-30));
}

/** A set of kernels beside the portable one. */
struct Check {
  const Kernels &kernels;
  Pool pool{2};
  int failures = 0;

  explicit Check(const Kernels &kernels) : kernels(kernels) {}

  /** body(kernels, out) by both, over the same `start`; the relative distance of the results must not pass `limit`. */
  template <class Number = float, class Body>
  void same(const char *what, size_t count, double limit, Body body, Number start = 0) {
    std::vector<Number> got(count, start), want(count, start);
    body(kernels, got.data());
    body(portableKernels, want.data());
    const double error = distance(got, want);
    if (error <= limit) return;
    failures++;
    std::printf("%s: %s differs from portable by %.2g\n", kernels.name, what, error);
  }

  /** The same to the bit. */
  template <class Number = float, class Body>
  void sameBits(const char *what, size_t count, Body body) {
    std::vector<Number> got(count), want(count);
    body(kernels, got.data());
    body(portableKernels, want.data());
    if (std::memcmp(got.data(), want.data(), count * sizeof(Number)) == 0) return;
    failures++;
    std::printf("%s: %s differs from portable\n", kernels.name, what);
  }
};

}  // namespace fewbit
