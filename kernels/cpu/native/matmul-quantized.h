// x·wᵀ + bias for quantized w: integer products, one float32 multiplication per chunk. A few rows read the weights once, at the speed of memory; many
// rows share each block of weights, unpacked to 16 bits.
#pragma once

#include "quantize-activations.h"

namespace {

constexpr Index fewTokens = 4;
/** Tokens of one register tile of a product with many rows: tileTokens × 2 accumulators. */
constexpr int tileTokens = FEWBIT_VECTOR_BYTES == 64 ? 12 : 6;
/** Inputs whose unpacked weights stay in the first-level cache for one block of rows. */
constexpr Index slabInputs = 4096 / blockRows;
/** Bytes of weights per task, and how far they are read ahead. */
constexpr Index packedTaskBytes = 65536, packedAhead = 4096;

/** Σ code·x over one chunk for `tokens` tokens and `vectors` × lanes rows, whose codes lie blockRows apart. */
template <int slot, int tokens, int vectors>
inline void chunkDots(const char *codes, const int32_t *x, Index length, Ints (&dots)[tokens][vectors]) {
  // Slots are masked where they stand, so that products come out 2^slot, 2^2slot … times too large: each kind has a sum of its own.
  constexpr int kinds = 8 / slot;
  constexpr int32_t mask = ((1 << slot) - 1) * 0x10001;
  Ints sums[kinds][tokens][vectors] = {};
  for (Index i = 0; i < length; i += 32 / slot, codes += blockRows * 4, x += 16 / slot * tokens) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
      if (v * FEWBIT_VECTOR_BYTES % 64 == 0) __builtin_prefetch(codes + packedAhead + v * FEWBIT_VECTOR_BYTES);
      const Ints low = loadInts(codes + v * FEWBIT_VECTOR_BYTES), high = low >> 8;
#pragma GCC unroll 4
      for (int kind = 0; kind < kinds; kind++) {
        const Ints a = low & (mask << kind * slot), b = high & (mask << kind * slot);
#pragma GCC unroll 4
        for (int t = 0; t < tokens; t++) {
          sums[kind][t][v] += pairProducts(a, allInts(x[kind * tokens + t]));
          sums[kind][t][v] += pairProducts(b, allInts(x[(kinds + kind) * tokens + t]));
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < tokens; t++) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
      dots[t][v] = sums[0][t][v];
#pragma GCC unroll 4
      for (int kind = 1; kind < kinds; kind++) dots[t][v] += sums[kind][t][v] >> kind * slot;
    }
  }
}

/** One block of rows for `tokens` tokens → sums [tokens][blockRows]. */
template <int slot, int tokens, ScaleType type>
__attribute__((noinline)) void blockFewRows(const char *block, const QuantizedShape &shape, const Chunks &chunks, const Activations &x, float *out) {
  constexpr int vectors = tokens == 1 ? 2 : 1;
  const ChunkBytes bytes(shape, chunks);
  const Index count = chunks.count, length = chunks.length;
  const bool ownZeros = shape.ownZeros;
  for (int first = 0; first < 2; first += vectors) {
    Floats totals[tokens][vectors] = {};
    const char *at = block;
    const int32_t *values = x.values, *sums = x.sums;
    const float *tokenScales = x.scales;
    for (Index chunk = 0; chunk < count; chunk++) {
      Ints dots[tokens][vectors];
      chunkDots<slot, tokens, vectors>(at + first * FEWBIT_VECTOR_BYTES, values, length, dots);
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) {
        const Index row = (first + v) * lanes;
        const Floats scales = loadScales<type>(at + bytes.codes + row * bytesOf(type));
        if (ownZeros) {
          const Ints zeros = loadZeros(at + bytes.codes + bytes.scales + row);
#pragma GCC unroll 4
          for (int t = 0; t < tokens; t++) dots[t][v] -= zeros * sums[t];
        } else {
#pragma GCC unroll 4
          for (int t = 0; t < tokens; t++) dots[t][v] -= allInts(sums[t]);
        }
#pragma GCC unroll 4
        for (int t = 0; t < tokens; t++) totals[t][v] += __builtin_convertvector(dots[t][v], Floats) * (scales * tokenScales[t]);
      }
      at += bytes.all;
      values += length / 2 * tokens;
      sums += tokens;
      tokenScales += tokens;
    }
    for (int t = 0; t < tokens; t++)
      for (int v = 0; v < vectors; v++) store(out + t * blockRows + (first + v) * lanes, totals[t][v]);
  }
}

/** The chunk's codes less their zero points, as pairs of 16 bits: [pair][blockRows]. */
template <int slot>
inline void unpackChunk(const char *codes, Index length, const Ints (&zeros)[2], int32_t *to) {
  typedef int16_t Shorts __attribute__((vector_size(FEWBIT_VECTOR_BYTES)));
  constexpr int kinds = 8 / slot;
  constexpr int32_t mask = ((1 << slot) - 1) * 0x10001;
  for (Index i = 0; i < length; i += 32 / slot, codes += blockRows * 4, to += 16 / slot * blockRows) {
    for (int v = 0; v < 2; v++) {
      const Ints word = loadInts(codes + v * FEWBIT_VECTOR_BYTES);
      for (int part = 0; part < 2 * kinds; part++) {
        const Ints pair = (word >> (part / kinds * 8 + part % kinds * slot)) & mask;
        storeInts(to + part * blockRows + v * lanes, (Ints)((Shorts)pair - (Shorts)zeros[v]));
      }
    }
  }
}

/** sums [tileTokens][2] += Σ over chunks: scales·Σ weight·x. `stride`: from one chunk of x to the next, in units of tileTokens. */
__attribute__((noinline)) void tileSlab(Index chunks, Index pairs, const int32_t *weights, const float *scales, const int32_t *x,
                                        const float *tokenScales, Index stride, Floats *sums) {
  for (Index chunk = 0; chunk < chunks; chunk++, scales += blockRows, tokenScales += stride) {
    Ints dots[tileTokens][2] = {};
    const int32_t *value = x + chunk * stride * pairs;
    for (Index p = 0; p < pairs; p++, weights += blockRows, value += tileTokens) {
      const Ints a = loadInts(weights), b = loadInts(weights + lanes);
#pragma GCC unroll 12
      for (int t = 0; t < tileTokens; t++) {
        dots[t][0] += pairProducts(a, allInts(value[t]));
        dots[t][1] += pairProducts(b, allInts(value[t]));
      }
    }
    const Floats low = load(scales), high = load(scales + lanes);
#pragma GCC unroll 12
    for (int t = 0; t < tileTokens; t++) {
      sums[2 * t] += __builtin_convertvector(dots[t][0], Floats) * (low * tokenScales[t]);
      sums[2 * t + 1] += __builtin_convertvector(dots[t][1], Floats) * (high * tokenScales[t]);
    }
  }
}

/** One chunk of one block, ready for `tileSlab`. */
template <int slot, ScaleType type>
inline void unpackBlock(const char *at, const QuantizedShape &shape, const Chunks &chunks, int32_t *weights, float *scales) {
  const ChunkBytes bytes(shape, chunks);
  Ints zeros[2];
  for (int v = 0; v < 2; v++) {
    const Ints zero = shape.ownZeros ? loadZeros(at + bytes.codes + bytes.scales + v * lanes) : allInts(shape.zero);
    zeros[v] = zero | (zero << 16);
    store(scales + v * lanes, loadScales<type>(at + bytes.codes + v * lanes * bytesOf(type)));
  }
  unpackChunk<slot>(at, chunks.length, zeros, weights);
}

/** All rows for more than a few tokens. A task holds, in the second-level cache, a slab of inputs of some blocks of rows and some tiles of tokens. */
template <int slot, ScaleType type, class Finish>
void manyRows(Pool &pool, const char *packed, const QuantizedShape &shape, const Chunks &chunks, const Activations &x, Finish finish) {
  constexpr Index taskBlocks = 4, taskTiles = 264 / tileTokens;
  const Index pairs = chunks.length / 2, slab = largerOf(1, slabInputs / chunks.length);
  const Index blocks = quotientUp(shape.rows, blockRows), chunkBytes = ChunkBytes(shape, chunks).all;
  const Index tokenBlocks = quotientUp(x.tiles, taskTiles), rowTasks = quotientUp(blocks, taskBlocks);
  const Index weightCount = slab * pairs * blockRows, scaleCount = slab * blockRows;
  const size_t scratchBytes = ((weightCount + scaleCount) * 4 + taskTiles * tileTokens * blockRows * 4) * taskBlocks;
  parallel(pool, rowTasks * tokenBlocks, scratchBytes, [&](Index task, char *scratch) {
    const Index firstBlock = task % rowTasks * taskBlocks, lastBlock = smallerOf(firstBlock + taskBlocks, blocks);
    const Index firstTile = task / rowTasks * taskTiles, lastTile = smallerOf(firstTile + taskTiles, x.tiles);
    Floats *sums = reinterpret_cast<Floats *>(scratch);
    int32_t *weights = reinterpret_cast<int32_t *>(sums + taskBlocks * taskTiles * tileTokens * 2);
    float *scales = reinterpret_cast<float *>(weights + taskBlocks * weightCount);
    memset(static_cast<void *>(sums), 0, taskBlocks * taskTiles * tileTokens * 2 * sizeof(Floats));
    for (Index first = 0; first < chunks.count; first += slab) {
      const Index count = smallerOf(slab, chunks.count - first);
      for (Index block = firstBlock; block < lastBlock; block++) {
        int32_t *blockWeights = weights + (block - firstBlock) * weightCount;
        float *blockScales = scales + (block - firstBlock) * scaleCount;
        for (Index chunk = 0; chunk < count; chunk++)
          unpackBlock<slot, type>(packed + (block * chunks.count + first + chunk) * chunkBytes, shape, chunks,
                                  blockWeights + chunk * pairs * blockRows, blockScales + chunk * blockRows);
        for (Index tile = firstTile; tile < lastTile; tile++)
          tileSlab(count, pairs, blockWeights, blockScales, x.values + x.at(first, tile) * pairs, x.scales + x.at(first, tile),
                   x.tiles * tileTokens, sums + ((block - firstBlock) * taskTiles + tile - firstTile) * tileTokens * 2);
      }
    }
    for (Index tile = firstTile; tile < lastTile; tile++)
      for (Index t = 0; t < tileTokens; t++)
        for (Index block = firstBlock; block < lastBlock; block++)
          finish(block, tile * tileTokens + t,
                 reinterpret_cast<const float *>(sums + (((block - firstBlock) * taskTiles + tile - firstTile) * tileTokens + t) * 2));
  });
}

template <int slot, ScaleType type>
void matmulPacked(Pool &pool, const float *x, const char *packed, const QuantizedShape &shape, const float *bias, float *out, Index m) {
  const Chunks chunks(shape.cols, shape.group);
  const Index tokens = m <= fewTokens ? m : tileTokens;
  const Activations activations(pool.workspace(Activations::bytes(m, tokens, chunks)), m, tokens, chunks);
  const int32_t zero = shape.ownZeros ? 1 : shape.zero;
  parallel(pool, activations.tiles, 0, [&](Index tile, char *) { quantizeTile(x, m, tile, chunks, zero, activations); });

  /** Puts one token's sums of one block of rows in their place. */
  const auto finish = [&](Index block, Index token, const float *sums) {
    if (token >= m) return;
    const Index row = block * blockRows, count = smallerOf(blockRows, shape.rows - row);
    float *to = out + token * shape.rows + row;
    for (Index i = 0; i < count; i++) to[i] = bias != nullptr ? bias[row + i] + sums[i] : sums[i];
  };
  if (m > fewTokens) return manyRows<slot, type>(pool, packed, shape, chunks, activations, finish);

  const Index blockBytes = chunks.count * ChunkBytes(shape, chunks).all, blocks = quotientUp(shape.rows, blockRows);
  // Every thread gets some tasks, so that one that comes late costs little; a block's result does not depend on its task.
  const Index share = largerOf(1, smallerOf(packedTaskBytes / blockBytes, blocks / (4 * pool.threads())));
  parallel(pool, quotientUp(blocks, share), 0, [&](Index task, char *) {
    float sums[fewTokens * blockRows];
    for (Index block = task * share; block < smallerOf((task + 1) * share, blocks); block++) {
      const char *at = packed + block * blockBytes;
      switch (m) {
        case 1: blockFewRows<slot, 1, type>(at, shape, chunks, activations, sums); break;
        case 2: blockFewRows<slot, 2, type>(at, shape, chunks, activations, sums); break;
        case 3: blockFewRows<slot, 3, type>(at, shape, chunks, activations, sums); break;
        default: blockFewRows<slot, 4, type>(at, shape, chunks, activations, sums);
      }
      for (Index token = 0; token < m; token++) finish(block, token, sums + token * blockRows);
    }
  });
}

template <int slot>
void matmulSlots(Pool &pool, const float *x, const char *packed, const QuantizedShape &shape, const float *bias, float *out, Index m) {
  switch (shape.scaleType) {
    case ScaleType::f32: return matmulPacked<slot, ScaleType::f32>(pool, x, packed, shape, bias, out, m);
    case ScaleType::f16: return matmulPacked<slot, ScaleType::f16>(pool, x, packed, shape, bias, out, m);
    case ScaleType::bf16: return matmulPacked<slot, ScaleType::bf16>(pool, x, packed, shape, bias, out, m);
  }
}

void matmulQuantized(Pool &pool, const float *x, const char *packed, const QuantizedShape &shape, const float *bias, float *out, Index m) {
  switch (shape.slot) {
    case 2: return matmulSlots<2>(pool, x, packed, shape, bias, out, m);
    case 4: return matmulSlots<4>(pool, x, packed, shape, bias, out, m);
    default: return matmulSlots<8>(pool, x, packed, shape, bias, out, m);
  }
}

}  // namespace
