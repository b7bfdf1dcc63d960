#pragma once

#include "functions.h"
#include "rows.h"

namespace {

/** out = of(x) lane by lane. */
template <class Of>
inline void map(Pool &pool, const float *x, float *out, Index count, Of of) {
  byStretches(pool, count, [&](Index first, Index length) {
    byVectors(length, [&](Index i, Index part) { storeUpTo(out + first + i, of(loadUpTo(x + first + i, part)), part); });
  });
}

void scale(Pool &pool, const float *x, float *out, Index count, float by) {
  map(pool, x, out, count, [=](Floats value) { return value * by; });
}

void softcap(Pool &pool, const float *x, float *out, Index count, float cap) {
  map(pool, x, out, count, [=](Floats value) { return capped(value, cap); });
}

void add(Pool &pool, const float *a, const float *b, float *out, Index rows, Index n, bool oneRow) {
  byRows(pool, rows, n, [&](Index row) {
    const float *right = oneRow ? b : b + row * n;
    byVectors(n, [&](Index i, Index count) {
      storeUpTo(out + row * n + i, loadUpTo(a + row * n + i, count) + loadUpTo(right + i, count), count);
    });
  });
}

template <Activation kind>
void activateAs(Pool &pool, const float *x, float *out, Index count) {
  map(pool, x, out, count, [](Floats value) { return activated<kind>(value); });
}

template <Activation kind>
void gatedAs(Pool &pool, const float *gate, const float *up, float *out, Index count) {
  byStretches(pool, count, [&](Index first, Index length) {
    byVectors(length, [&](Index i, Index part) {
      storeUpTo(out + first + i, activated<kind>(loadUpTo(gate + first + i, part)) * loadUpTo(up + first + i, part), part);
    });
  });
}

void activate(Pool &pool, const float *x, float *out, Index count, Activation kind) {
  switch (kind) {
    case Activation::silu: return activateAs<Activation::silu>(pool, x, out, count);
    case Activation::gelu: return activateAs<Activation::gelu>(pool, x, out, count);
    case Activation::geluTanh: return activateAs<Activation::geluTanh>(pool, x, out, count);
    case Activation::relu: return activateAs<Activation::relu>(pool, x, out, count);
  }
}

void gated(Pool &pool, const float *gate, const float *up, float *out, Index count, Activation kind) {
  switch (kind) {
    case Activation::silu: return gatedAs<Activation::silu>(pool, gate, up, out, count);
    case Activation::gelu: return gatedAs<Activation::gelu>(pool, gate, up, out, count);
    case Activation::geluTanh: return gatedAs<Activation::geluTanh>(pool, gate, up, out, count);
    case Activation::relu: return gatedAs<Activation::relu>(pool, gate, up, out, count);
  }
}

}  // namespace
