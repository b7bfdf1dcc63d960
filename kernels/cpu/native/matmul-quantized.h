// x·wᵀ + bias for quantized w: integer products, one float32 multiplication per chunk. A few tokens use codes as they read them, once and at the speed of memory; many
// tokens share each block of weights, unpacked once for all of them. `Precision` is what the activations are rounded to.
#pragma once

#include <type_traits>

#include "eight-bits.h"
#include "rows.h"
#include "sixteen-bits.h"

namespace {

/** Tokens that share each vector of codes as it is read. */
constexpr Index fewTokens = 4;
/** Most tokens whose tiles pass over a block one after the other: beyond, it pays to unpack the block for them. */
constexpr Index mostFewTokens = FEWBIT_ISA == FEWBIT_AVX512 || FEWBIT_ISA == FEWBIT_AVX2 ? 16 : fewTokens;
/** Bytes of unpacked weights that stay in the first-level cache, and blocks of rows that they are of. */
constexpr Index slabBytes = 16384, slabBlocks = 4;

/** One block of rows of a packed weight for a tile of `tokens` tokens → sums [tokens][blockRows]. */
template <class Precision, class Codes, int tokens, ScaleType type>
__attribute__((noinline)) void blockFewRows(const char *packed, const char *block, const QuantizedShape &shape, const Chunks &chunks, const Activations &x,
                                            Index tile, float *out) {
  const Codes read(headerOf(packed));
  constexpr int vectors = tokens == 1 ? 2 : 1;
  const BlockBytes bytes(shape, chunks);
  const Index count = chunks.count, length = chunks.length, words = length * sizeof(typename Precision::Number) / 4, stride = x.at(1, 0);
  const Origin origin = shape.origin;
  for (int first = 0; first < 2; first += vectors) {
    Floats totals[tokens][vectors] = {};
    const char *at = block + bytes.steps, *steps = block;
    Index left = bytes.chunksPerStep;
    const int32_t *values = x.values + x.at(0, tile) * words, *sums = x.sums + x.at(0, tile);
    const float *tokenScales = x.scales + x.at(0, tile);
    for (Index chunk = 0; chunk < count; chunk++) {
      Ints dots[tokens][vectors];
      Precision::chunkDots(read, at + first * FEWBIT_VECTOR_BYTES, values, length, dots);
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) {
        const Index row = (first + v) * lanes;
        const Floats scales = scalesOf<type>(at + bytes.codes, steps, row);
        if (origin == Origin::bases) {
          const Floats bases = basesOf<type>(at + bytes.codes, steps, row);
#pragma GCC unroll 4
          for (int t = 0; t < tokens; t++) totals[t][v] += bases * fromBits(allInts(sums[t]));
        } else if (origin == Origin::zeros) {
          const Ints zeros = loadZeros(at + bytes.codes + bytes.scales + row);
#pragma GCC unroll 4
          for (int t = 0; t < tokens; t++) dots[t][v] += zeros * sums[t];
        } else {
#pragma GCC unroll 4
          for (int t = 0; t < tokens; t++) dots[t][v] += allInts(sums[t]);
        }
#pragma GCC unroll 4
        for (int t = 0; t < tokens; t++) totals[t][v] += __builtin_convertvector(dots[t][v], Floats) * (scales * tokenScales[t]);
      }
      at += bytes.chunk;
      if (type == ScaleType::i8 && --left == 0) steps += bytes.step, left = bytes.chunksPerStep;
      values += words * stride;
      sums += stride;
      tokenScales += stride;
    }
    for (int t = 0; t < tokens; t++)
      for (int v = 0; v < vectors; v++) store(out + t * blockRows + (first + v) * lanes, totals[t][v]);
  }
}

/** Chunk `index` of one block, ready for `tileSlab`. */
template <class Precision, class Codes>
inline void unpackBlock(const Codes &read, const char *block, Index index, const QuantizedShape &shape, const Chunks &chunks, const Slab &to) {
  const BlockBytes bytes(shape, chunks);
  const char *at = block + bytes.chunkAt(index), *steps = block + bytes.stepAt(index), *scales = at + bytes.codes;
  Ints zeros[2];
  for (int v = 0; v < 2; v++) {
    zeros[v] = shape.origin == Origin::zeros ? loadZeros(scales + bytes.scales + v * lanes) : allInts(shape.zero);
    storeInts(to.zeros + v * lanes, zeros[v]);
    // What is unpacked meets many tokens: the type of scales may be looked up here.
    withScaleType(shape.scaleType, [&](auto type) {
      store(to.scales + v * lanes, scalesOf<type>(scales, steps, v * lanes));
      if (shape.origin == Origin::bases) store(to.bases + v * lanes, basesOf<type>(scales, steps, v * lanes));
    });
  }
  Precision::unpackChunk(read, at, chunks.length, zeros, to.weights);
}

/** Puts one token's sums of one block of rows in their place. */
inline void finishBlock(const QuantizedProduct &product, Index block, Index token, Index m, const float *sums) {
  if (token >= m) return;
  const auto &[packed, shape, bias, out] = product;
  const float by = 1 / headerOf(packed).divisor;
  const Index row = block * blockRows, count = smallerOf(blockRows, shape.rows - row);
  float *to = out + token * shape.rows + row;
  byVectors(count, [&](Index i, Index part) {
    const Floats all = load(sums + i) * by;
    storeUpTo(to + i, bias != nullptr ? loadUpTo(bias + row + i, part) + all : all, part);
  });
}

/** All rows for more than a few tokens. A task unpacks some inputs of some blocks of rows and lets tiles of tokens pass over them, whose sums stay in the second-level cache. */
template <class Precision, class Codes>
void manyRows(Pool &pool, const QuantizedProduct &product, const Chunks &chunks, const Activations &x, Index m) {
  const QuantizedShape &shape = product.shape;
  const char *stream = product.packed + sizeof(PackedHeader);
  const Codes read(headerOf(product.packed));
  constexpr Index taskTiles = 264 / tileTokens;
  const Index words = chunks.length * sizeof(typename Precision::Number) / 4;
  const Index unpacked = Precision::unpackedWords(chunks.length) * blockRows;
  const Index slabChunks = largerOf(1, slabBytes / slabBlocks / 4 / unpacked);
  const Index blocks = quotientUp(shape.rows, blockRows), perChunk = unpacked + 3 * blockRows;
  const BlockBytes bytes(shape, chunks);
  const Index tokenBlocks = quotientUp(x.tiles, taskTiles), rowTasks = quotientUp(blocks, slabBlocks);
  const size_t scratchBytes = (slabChunks * perChunk + taskTiles * tileTokens * blockRows) * slabBlocks * 4;
  const auto tileSlab = shape.origin == Origin::bases   ? Precision::template tileSlab<Origin::bases>
                        : shape.origin == Origin::zeros ? Precision::template tileSlab<Origin::zeros>
                                                        : Precision::template tileSlab<Origin::zero>;
  parallel(pool, rowTasks * tokenBlocks, scratchBytes, [&](Index task, char *scratch) {
    const Index firstBlock = task % rowTasks * slabBlocks, lastBlock = smallerOf(firstBlock + slabBlocks, blocks);
    const Index firstTile = task / rowTasks * taskTiles, lastTile = smallerOf(firstTile + taskTiles, x.tiles);
    /** [tile][block][token][2] */
    Floats *sums = reinterpret_cast<Floats *>(scratch);
    constexpr Index tileSums = slabBlocks * tileTokens * 2;
    int32_t *weights = reinterpret_cast<int32_t *>(sums + taskTiles * tileSums);
    float *scales = reinterpret_cast<float *>(weights + slabBlocks * slabChunks * unpacked);
    int32_t *zeros = reinterpret_cast<int32_t *>(scales + slabBlocks * slabChunks * blockRows);
    float *bases = reinterpret_cast<float *>(zeros + slabBlocks * slabChunks * blockRows);
    memset(static_cast<void *>(sums), 0, taskTiles * tileSums * sizeof(Floats));
    const auto slabOf = [&](Index block, Index chunk) {
      const Index at = (block - firstBlock) * slabChunks + chunk;
      return Slab{weights + at * unpacked, scales + at * blockRows, zeros + at * blockRows, bases + at * blockRows};
    };
    for (Index first = 0; first < chunks.count; first += slabChunks) {
      const Index count = smallerOf(slabChunks, chunks.count - first);
      for (Index block = firstBlock; block < lastBlock; block++)
        for (Index chunk = 0; chunk < count; chunk++)
          unpackBlock<Precision, Codes>(read, stream + block * bytes.all, first + chunk, shape, chunks, slabOf(block, chunk));
      for (Index tile = firstTile; tile < lastTile; tile++) {
        // While tiles pass over this slab the next one comes from memory, a part with each.
        for (Index block = firstBlock; block < lastBlock; block++) {
          const char *next = stream + block * bytes.all + bytes.chunkAt(first + slabChunks);
          const Index share = quotientUp(slabChunks * bytes.chunk, (lastTile - firstTile) * 64) * 64, from = (tile - firstTile) * share;
          for (Index byte = from; byte < smallerOf(from + share, slabChunks * bytes.chunk); byte += 64) __builtin_prefetch(next + byte, 0, 2);
        }
        const Index at = x.at(first, tile);
        const TileOfTokens tokens{x.values + at * words, x.scales + at, x.sums + at, x.tiles * tileTokens};
        for (Index block = firstBlock; block < lastBlock; block++)
          tileSlab(slabOf(block, 0), count, chunks.length, tokens,
                   sums + (tile - firstTile) * tileSums + (block - firstBlock) * tileTokens * 2);
      }
    }
    for (Index tile = firstTile; tile < lastTile; tile++)
      for (Index t = 0; t < tileTokens; t++)
        for (Index block = firstBlock; block < lastBlock; block++)
          finishBlock(product, block, tile * tileTokens + t, m,
                      reinterpret_cast<const float *>(sums + (tile - firstTile) * tileSums + ((block - firstBlock) * tileTokens + t) * 2));
  });
}

/** What multiplies by codes of one kind with scales of one type: blocks of rows for 1 to fewTokens tokens, and all rows for more. */
struct ProductKernels {
  void (*fewRows[fewTokens])(const char *packed, const char *block, const QuantizedShape &, const Chunks &, const Activations &, Index tile, float *sums);
  void (*manyRows)(Pool &, const QuantizedProduct &, const Chunks &, const Activations &, Index m);
};

template <class Precision, class Codes>
ProductKernels kernelsOf(ScaleType scaleType) {
  ProductKernels found{};
  withScaleType(scaleType, [&](auto type) {
    // Scales of a byte are of small floats, whose codes name levels; steps under scales are of ggml, whose codes have no more bits.
    if constexpr ((Codes::named || (type != ScaleType::e8m0 && type != ScaleType::e4m3)) && (Codes::bits <= 6 || type != ScaleType::i8))
      found = {{blockFewRows<Precision, Codes, 1, type>, blockFewRows<Precision, Codes, 2, type>, blockFewRows<Precision, Codes, 3, type>,
                blockFewRows<Precision, Codes, 4, type>},
               manyRows<Precision, Codes>};
  });
  return found;
}

/** All blocks of all products in one job for a few tokens: a block is read from memory once, for the first of their tiles. */
void productsOfFew(Pool &pool, const ProductKernels &kernels, const QuantizedProduct *products, Index count, const Chunks &chunks, const Activations &x, Index m) {
  const Index blockBytes = BlockBytes(products[0].shape, chunks).all;
  const auto blocksOf = [](const QuantizedProduct &product) { return quotientUp(product.shape.rows, blockRows); };
  const auto blockOf = kernels.fewRows[x.tokens - 1];
  Index all = 0;
  for (Index i = 0; i < count; i++) all += blocksOf(products[i]);
  byRuns(pool, all, [&](Index first, Index last) {
    float sums[fewTokens * blockRows];
    const QuantizedProduct *product = products;
    for (; first >= blocksOf(*product); product++) first -= blocksOf(*product), last -= blocksOf(*product);
    for (Index block = first; block < last; block++) {
      if (block == blocksOf(*product)) block = 0, last -= blocksOf(*product++);
      const char *at = product->packed + sizeof(PackedHeader) + block * blockBytes;
      for (Index tile = 0; tile < x.tiles; tile++) {
        blockOf(product->packed, at, product->shape, chunks, x, tile, sums);
        for (Index token = 0; token < x.tokens; token++) finishBlock(*product, block, tile * x.tokens + token, m, sums + token * blockRows);
      }
    }
  });
}

template <class Precision>
void matmulPacked(Pool &pool, const ProductKernels &kernels, const float *x, const QuantizedProduct *products, Index count, Index m) {
  const QuantizedShape &shape = products[0].shape;
  const Chunks chunks(shape.cols, shape.group);
  const bool few = m <= mostFewTokens;
  const Index tokens = few ? quotientUp(m, quotientUp(m, fewTokens)) : tileTokens;
  const Index words = chunks.length * sizeof(typename Precision::Number) / 4;
  const Activations activations(pool.workspace(Activations::bytes(m, tokens, words, chunks)), m, tokens, words, chunks);
  parallel(pool, activations.tiles, 0, [&](Index tile, char *) { quantizeTile<Precision>(x, m, tile, chunks, shape, activations); });
  if (few) return productsOfFew(pool, kernels, products, count, chunks, activations, m);
  for (Index i = 0; i < count; i++) kernels.manyRows(pool, products[i], chunks, activations, m);
}

/** `Precision`: for codes read so. */
template <template <class Codes> class Precision>
void matmulRounded(Pool &pool, const float *x, const QuantizedProduct *products, Index count, Index m) {
  withCodes(products[0].shape, [&](auto kind) {
    using Codes = typename decltype(kind)::type;
    matmulPacked<Precision<Codes>>(pool, kernelsOf<Precision<Codes>, Codes>(products[0].shape.scaleType), x, products, count, m);
  });
}

template <class>
using Finely = SixteenBits;
template <class Codes>
using Coarsely = std::conditional_t<Codes::numberBits <= mostByteBits, EightBits, EightBitsAsPairs>;

void matmulQuantized(Pool &pool, const float *x, const QuantizedProduct *products, Index count, Index m) {
  if (products[0].shape.activationBits == 8) return matmulRounded<Coarsely>(pool, x, products, count, m);
  matmulRounded<Finely>(pool, x, products, count, m);
}

}  // namespace
