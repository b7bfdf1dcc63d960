// Shapes of weights from what JavaScript sends, as arguments of a call or as operands of a command: `Reader` has index() and flag().
#pragma once

#include "kernels.h"

namespace fewbit {

template <class Reader>
QuantizedShape quantizedShape(Reader &of) {
  QuantizedShape shape{};
  for (Index *size : {&shape.rows, &shape.cols, &shape.group}) *size = of.index();
  shape.bits = int(of.index());
  shape.named = of.flag();
  shape.scaleType = static_cast<ScaleType>(of.index());
  shape.stepInputs = of.index();
  shape.origin = static_cast<Origin>(of.index());
  shape.zero = int(of.index());
  shape.activationBits = int(of.index());
  return shape;
}

template <class Reader>
LevelsShape levelsShape(Reader &of) {
  LevelsShape shape{};
  for (Index *size : {&shape.rows, &shape.cols, &shape.span}) *size = of.index();
  shape.bits = int(of.index());
  shape.coding = static_cast<Coding>(of.index());
  shape.scaleType = static_cast<ScaleType>(of.index());
  shape.ownTables = of.flag();
  return shape;
}

template <class Reader>
PageShape pageShape(Reader &of) {
  PageShape shape{};
  shape.kind = static_cast<PageKind>(of.index());
  for (Index *size : {&shape.n, &shape.group}) *size = of.index();
  shape.ownZeros = of.flag();
  shape.zero = float(of.index());
  for (Index *place : {&shape.scales, &shape.zeros, &shape.bytes}) *place = of.index();
  return shape;
}

}  // namespace fewbit
