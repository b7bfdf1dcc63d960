// What stands behind a command (commands.h), read as the types of the kernels.
#pragma once

#include <vector>

#include "kernels.h"

namespace fewbit {

/** Operands, read one after the other. */
class Operands {
 public:
  explicit Operands(const double *at) : at(at) {}
  template <class T = float>
  T *array() {
    return reinterpret_cast<T *>(static_cast<uintptr_t>(*at++));
  }
  std::vector<const char *> arrays(Index count) {
    std::vector<const char *> list;
    for (Index i = 0; i < count; i++) list.push_back(array<char>());
    return list;
  }
  Index index() { return static_cast<Index>(*at++); }
  double number() { return *at++; }
  bool flag() { return *at++ != 0; }
  Activation activation() { return static_cast<Activation>(index()); }
  /** A count, then as many numbers. */
  template <class T>
  std::vector<T> list() {
    const Index count = index();
    std::vector<T> numbers(at, at + count);
    at += count;
    return numbers;
  }
  std::vector<uint32_t> indices() { return list<uint32_t>(); }
  RoundingShape rounding() {
    RoundingShape shape{};
    shape.group = index();
    shape.kind = static_cast<RoundingKind>(index());
    for (float *value : {&shape.steps, &shape.top, &shape.zero, &shape.emptyScale, &shape.scale}) *value = float(number());
    shape.mantissa = int(index());
    for (float *value : {&shape.largest, &shape.smallestNormal, &shape.divisor, &shape.outlierThreshold}) *value = float(number());
    shape.rows = index();
    shape.scaleType = static_cast<ScaleType>(index());
    shape.given = flag();
    return shape;
  }
  std::vector<Draw> draws(Index count) {
    std::vector<Draw> list(count);
    for (Draw &draw : list) {
      draw.uniform = number();
      draw.temperature = float(number());
      draw.topK = index();
      draw.topP = number();
      draw.minP = float(number());
    }
    return list;
  }
  SparseRows sparse() {
    SparseRows rows{};
    rows.starts = array<uint32_t>();
    rows.columns = array<uint32_t>();
    rows.values = array();
    return rows;
  }
  const double *position() const { return at; }

 private:
  const double *at;
};

}  // namespace fewbit
