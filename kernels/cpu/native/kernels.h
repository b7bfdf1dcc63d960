// The table that each instruction set fills in. Matrices are dense and row-major; every function gives the same bits for any number of threads.
#pragma once

#include "pool.h"

namespace fewbit {

enum class Activation { silu, gelu, geluTanh, relu };

/** As pageKinds of @fewbit/kernels. */
enum class PageKind { floats, halves, nibbles, bytes, e4m3, e5m2 };

/** As in @fewbit/kernels. */
struct PageShape {
  PageKind kind;
  Index n, group;
  bool ownZeros;
  float zero;
  Index scales, zeros, bytes;
};

struct AttentionShape {
  Index m, heads, keyValueHeads, headSize;
  float scale;
  /** Position of the first query row. */
  Index start;
  /** Positions seen; 0 for all. */
  Index window;
  /** Positions per page of k and v. */
  Index pageRows;
  /** 0 for none. */
  float softcap;
  /** Of k and of v. */
  PageShape keys, values;
};

/** Attention of one of several sequences. k and v: its pages. */
struct SequenceAttention {
  const float *q;
  const char *const *k, *const *v;
  float *out;
  AttentionShape shape;
};

struct UpdateShape {
  Index rows, k, n, bRow, cStart;
};

/** e8m0: a power of two, the exponent of a float32; e4m3: over a divisor that all scales share; i8: times a step in f16, which several scales of a row share. */
enum class ScaleType { f32, f16, bf16, e8m0, e4m3, i8 };

/** What makes a code a weight, beside its scale: scale·(code − a zero point), everyone's or each scale's own; or scale·code + base. */
enum class Origin { zero, zeros, bases };

/** A quantized weight [rows, cols]: codes of 2 to 8 bits, one scale per row and `group` inputs. */
struct QuantizedShape {
  Index rows, cols, group;
  int bits;
  /** Codes, of 4 bits, name levels of a table: whole numbers below 256. */
  bool named;
  /** Of scales and of bases. */
  ScaleType scaleType;
  /** Inputs that share a step, where scales have steps: a multiple of a group, which is one chunk then. */
  Index stepInputs;
  Origin origin;
  /** Everyone's zero point. */
  int zero;
  /** What x is rounded to: 16 or 8 bits. */
  int activationBits;
};

/** What becomes the form that `matmulQuantized` reads. */
struct CodesToPack {
  /** One per byte, row-major. */
  const uint8_t *codes;
  /** Of each tile of tileRows × group: float32 that the scale type holds exactly, but bytes for types of a byte. */
  const void *scales;
  /** Of each tile, or null. */
  const uint8_t *zeros;
  /** Of each tile, as scales are, or null. */
  const void *bases;
  /** [rows][spans of stepInputs], that f16 holds; where there are bases, a pair each: the scales' and the bases'. Or null. */
  const float *steps;
  /** Sixteen, where codes name them. */
  const uint8_t *levels;
  /** Of all scales. */
  float divisor;
  Index tileRows;
};

/** One of several products of the same x: by weights whose shapes differ in rows alone, so that they all round x alike. */
struct QuantizedProduct {
  const char *packed;
  QuantizedShape shape;
  const float *bias;
  float *out;
};

/** A few entries of a matrix, by rows: those of row r are starts[r] … starts[r + 1] − 1. */
struct SparseRows {
  const uint32_t *starts, *columns;
  const float *values;
};

/** One of several sparse products of the same x: what is added to out [m, rows]. */
struct SparseProduct {
  SparseRows of;
  float *out;
  Index rows;
};

/** As roundingKinds of @fewbit/kernels. */
enum class RoundingKind { symmetric, asymmetric, halves, floats, power, nested, signedScale, freeRange };

/** As in @fewbit/kernels. */
struct RoundingShape {
  Index group;
  RoundingKind kind;
  float steps, top, zero, emptyScale, scale;
  /** Of a small float: bits of its mantissa, largest and smallest normal number. */
  int mantissa;
  float largest, smallestNormal;
  float divisor;
  float outlierThreshold;
  Index rows;
  ScaleType scaleType;
  bool given;
};

/** As in @fewbit/kernels; topK 0 keeps all, as topP 1 and minP 0 do. */
struct Draw {
  double uniform;
  float temperature;
  Index topK;
  double topP;
  float minP;
};

/** How the codes of a weight of levels are read: 4 bits or 8 that index a table, integers, or small floats. */
enum class Coding { nibbles, bytes, integers, e4m3, e5m2 };

/** A weight [rows, cols] of levels (levels.h). */
struct LevelsShape {
  Index rows, cols, span;
  /** 4 or 8. */
  int bits;
  Coding coding;
  ScaleType scaleType;
  /** Each span has a table of levels in place of a scale. */
  bool ownTables;
};

struct Kernels {
  const char *name;
  /** For people. */
  const char *description;

  /** out [m, n] = x [m, k]·wᵀ + bias; w [n, k]; bias may be null. */
  void (*matmul)(Pool &, const float *x, const float *w, const float *bias, float *out, Index m, Index k, Index n);
  /** The same for w in bf16. */
  void (*matmulShort)(Pool &, const float *x, const uint16_t *w, const float *bias, float *out, Index m, Index k, Index n);
  /** x as bf16; false where that loses something. */
  bool (*shorten)(Pool &, const float *x, uint16_t *out, Index count);
  /** Rows of a bf16 table [·, n]. */
  void (*widenRows)(Pool &, const uint16_t *table, const uint32_t *indices, float *out, Index rows, Index n);
  Index (*packedBytes)(const QuantizedShape &);
  void (*packCodes)(Pool &, const CodesToPack &, const QuantizedShape &, char *packed);
  /** Rows of a packed weight, decoded: out [count, cols]. */
  void (*unpackRows)(Pool &, const char *packed, const QuantizedShape &, const uint32_t *indices, Index count, float *out);
  /** The same as `matmul` with x rounded to shape.activationBits bits per chunk, for `count` weights. */
  void (*matmulQuantized)(Pool &, const float *x, const QuantizedProduct *, Index count, Index m);
  /** out += x [m, k]·ofᵀ, for `count` sparse matrices. */
  void (*addSparse)(Pool &, const float *x, const SparseProduct *, Index count, Index m, Index k);
  /** The entries of rows `indices`, written into their places in out [count, n]. */
  void (*putEntries)(Pool &, const SparseRows &, const uint32_t *indices, Index count, Index n, float *out);
  Index (*levelsBytes)(const LevelsShape &);
  /** One code per byte, row-major; scales (as of CodesToPack) [rows, spans], or null; one table, or one per span → the form that `matmulLevels` reads. */
  void (*packLevels)(Pool &, const uint8_t *codes, const void *scales, const float *tables, const LevelsShape &, char *packed);
  void (*unpackLevels)(Pool &, const char *packed, const LevelsShape &, const uint32_t *indices, Index count, float *out);
  /** The same as `matmul`, for levels. */
  void (*matmulLevels)(Pool &, const float *x, const char *packed, const LevelsShape &, const float *bias, float *out, Index m);
  /** into [a, b] += xᵀ·y over `rows` rows; where y is null it is x, and only the upper triangle is added. */
  void (*gram)(Pool &, const float *x, const float *y, double *into, Index rows, Index a, Index b);
  /** h⁻¹ = Uᵀ·U, into zeroed `upper`; false where h is not positive definite. */
  bool (*inverseCholesky)(Pool &, const double *h, double *upper, Index n);
  /** out = b·h⁻¹, b [rows, n]. */
  bool (*solve)(Pool &, const double *h, Index n, const double *b, double *out, Index rows);
  void (*subtractProduct)(Pool &, double *c, const double *a, const double *b, UpdateShape);
  void (*product)(Pool &, const double *a, const double *b, double *c, Index rows, Index k, Index n);
  /** Rounds x [rows, n] as `rounding` says, and writes it to a page from row `start` on. */
  void (*storePage)(Pool &, const float *x, char *page, const PageShape &, Index start, Index rows, const RoundingShape &rounding);
  /** Of `count` sequences: none reads what another writes. */
  void (*attention)(Pool &, const SequenceAttention *, Index count);
  /** Over `rows` segments of n. */
  void (*rmsNorm)(Pool &, const float *x, const float *gain, float *out, Index rows, Index n, double epsilon, float gainOffset);
  void (*layerNorm)(Pool &, const float *x, const float *gain, const float *bias, float *out, Index rows, Index n, double epsilon);
  void (*rotate)(Pool &, const float *x, float *out, Index m, Index width, Index headSize, const float *frequencies, Index pairs,
                 double amplitude, Index start);
  /** b: as many values as a, or one row of n. */
  void (*add)(Pool &, const float *a, const float *b, float *out, Index rows, Index n, bool oneRow);
  void (*scale)(Pool &, const float *x, float *out, Index count, float by);
  void (*softcap)(Pool &, const float *x, float *out, Index count, float cap);
  void (*activate)(Pool &, const float *x, float *out, Index count, Activation);
  void (*gated)(Pool &, const float *gate, const float *up, float *out, Index count, Activation);
  /** x [rows, n] as codes of `shape` and back; from one row to the next are `stride` values. */
  void (*roundActivations)(Pool &, const float *x, float *out, Index rows, Index n, Index stride, const RoundingShape &);
  void (*crossEntropy)(Pool &, const float *logits, const uint32_t *targets, float *out, Index m, Index n);
  void (*sample)(Pool &, const float *logits, const Draw *draws, float *out, Index m, Index n);
  /** Rows of `bytes` bytes each, from and to rows that may lie apart. `indices` chooses source rows; null takes them in order. */
  void (*copyRows)(Pool &, const char *from, Index fromStride, const uint32_t *indices, char *to, Index toStride, Index rows, Index bytes);
  /** Columns of x [rows, n] in the order of `order`, or from that order `back` into their own. */
  void (*permuteColumns)(Pool &, const float *x, const uint32_t *order, float *out, Index rows, Index n, bool back);
  /** The exclusive or of x's words. */
  int32_t (*stream)(Pool &, const float *x, Index count);
};

extern const Kernels portableKernels;
#if defined(__x86_64__) || defined(_M_X64)
extern const Kernels avx2Kernels;
extern const Kernels avx512Kernels;
/** `matmulQuantized` of avx2Kernels and of avx512Kernels by VNNI; the form of weights is the same. */
void matmulQuantizedAvx2Vnni(Pool &, const float *x, const QuantizedProduct *, Index count, Index m);
void matmulQuantizedAvx512Vnni(Pool &, const float *x, const QuantizedProduct *, Index count, Index m);
#elif defined(__aarch64__) || defined(_M_ARM64)
extern const Kernels neonKernels;
/** The same by dot products of bytes. */
void matmulQuantizedNeonDot(Pool &, const float *x, const QuantizedProduct *, Index count, Index m);
#endif

}  // namespace fewbit
