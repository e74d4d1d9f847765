// The usual tiles of conv_8x8_neoni8mm.h from beginning to end in assembler: interleaved pixels, outputs requantised
// exactly, tile after tile of 8 channels for the same pairs of pixels.
//
// v16..v31 sums, four 2 x 2 matrices a pair; v0..v3 inputs, v4..v7 weights; then v8..v11 the scale and, a pair after the
// other, v0..v3 or v4..v7 outputs, v12 and v13 two pairs' bytes. Matrices are requantised as they are; narrowed, pairs are
// p0 p1 p0 p1 ... and p2 p3 p2 p3 ... in twos of channels, which UZP1 and UZP2 make p0 | p2 and p1 | p3.
// x1 inputs, x2 weights, x3 steps, x4 those left; x5 inputs of the first step; x6 the tile's head; x7 tiles left;
// x8 output, x9 its pitch, x10 a row of it; x11 the last row, x12 from its tile to the next: 0 where that row is nobody's.
#pragma once

#include "requant_exact.h"

namespace evqa {
namespace {

struct ExactRun {
  const int8_t* in;
  const TileHead<2>* head;  // of the first tile
  int64_t steps, tiles;
  uint8_t* out;
  ptrdiff_t out_pixel;
  uint8_t* last;
  ptrdiff_t last_step;
};
static_assert(offsetof(ExactRun, last_step) == 56);
static_assert(offsetof(TileHead<2>, start) == 0 && offsetof(TileHead<2>, scale) == 64 &&
              offsetof(TileHead<2>, shift) == 128 && sizeof(TileHead<2>) == 224);

// clang-format off
// in: a pair's inputs; a0..a3: its sums.
#define EVQA_PAIR0(M) M(0, 16, 17, 18, 19)
#define EVQA_PAIR1(M) M(1, 20, 21, 22, 23)
#define EVQA_PAIR2(M) M(2, 24, 25, 26, 27)
#define EVQA_PAIR3(M) M(3, 28, 29, 30, 31)
#define EVQA_PAIRS1(M) EVQA_PAIR0(M)
#define EVQA_PAIRS2(M) EVQA_PAIRS1(M) EVQA_PAIR1(M)
#define EVQA_PAIRS3(M) EVQA_PAIRS2(M) EVQA_PAIR2(M)
#define EVQA_PAIRS4(M) EVQA_PAIRS3(M) EVQA_PAIR3(M)

#define EVQA_PAIR_START(in, a0, a1, a2, a3) \
  "ldp q" #a0 ", q" #a1 ", [x6]\nldp q" #a2 ", q" #a3 ", [x6, #32]\n"
#define EVQA_PAIR_LOAD(in, a0, a1, a2, a3) "ldr q" #in ", [x1, #16 * " #in "]\n"
#define EVQA_PAIR_DOT(in, a0, a1, a2, a3) \
  "smmla v" #a0 ".4s, v" #in ".16b, v4.16b\nsmmla v" #a1 ".4s, v" #in ".16b, v5.16b\n" \
  "smmla v" #a2 ".4s, v" #in ".16b, v6.16b\nsmmla v" #a3 ".4s, v" #in ".16b, v7.16b\n"
// y0..y3: where the pair's outputs are made; y0 holds all 16 in the end.
#define EVQA_PAIR_ROUND(y0, y1, y2, y3, a0, a1, a2, a3) \
  "ldp q" #y0 ", q" #y1 ", [x6, #128]\nldp q" #y2 ", q" #y3 ", [x6, #160]\n" \
  "fmla v" #y0 ".4s, v" #a0 ".4s, v8.4s\nfmla v" #y1 ".4s, v" #a1 ".4s, v9.4s\n" \
  "fmla v" #y2 ".4s, v" #a2 ".4s, v10.4s\nfmla v" #y3 ".4s, v" #a3 ".4s, v11.4s\n" \
  "uzp1 v" #y0 ".8h, v" #y0 ".8h, v" #y1 ".8h\nuzp1 v" #y2 ".8h, v" #y2 ".8h, v" #y3 ".8h\n" \
  "sqxtn v" #y0 ".8b, v" #y0 ".8h\nsqxtn2 v" #y0 ".16b, v" #y2 ".8h\n"
#define EVQA_SORT(p, q) "uzp1 v12.8h, v" #p ".8h, v" #q ".8h\nuzp2 v13.8h, v" #p ".8h, v" #q ".8h\n"
#define EVQA_STORE_ROW(v, half) "st1 {v" #v ".d}[" #half "], [x10], x9\n"
#define EVQA_STORE_LAST(half) "st1 {v13.d}[" #half "], [x11], x12\n"

#define EVQA_FINISH1 EVQA_PAIR_ROUND(0, 1, 2, 3, 16, 17, 18, 19) EVQA_SORT(0, 0) EVQA_STORE_ROW(12, 0) EVQA_STORE_LAST(0)
#define EVQA_FINISH_TWO \
  EVQA_PAIR_ROUND(0, 1, 2, 3, 16, 17, 18, 19) EVQA_PAIR_ROUND(4, 5, 6, 7, 20, 21, 22, 23) EVQA_SORT(0, 4)
#define EVQA_FINISH2 EVQA_FINISH_TWO EVQA_STORE_ROW(12, 0) EVQA_STORE_ROW(13, 0) EVQA_STORE_ROW(12, 1) EVQA_STORE_LAST(1)
#define EVQA_STORE_FOUR EVQA_STORE_ROW(12, 0) EVQA_STORE_ROW(13, 0) EVQA_STORE_ROW(12, 1) EVQA_STORE_ROW(13, 1)
#define EVQA_FINISH3 EVQA_FINISH_TWO EVQA_STORE_FOUR \
  EVQA_PAIR_ROUND(0, 1, 2, 3, 24, 25, 26, 27) EVQA_SORT(0, 0) EVQA_STORE_ROW(12, 0) EVQA_STORE_LAST(0)
#define EVQA_FINISH4 EVQA_FINISH_TWO EVQA_STORE_FOUR \
  EVQA_PAIR_ROUND(0, 1, 2, 3, 24, 25, 26, 27) EVQA_PAIR_ROUND(4, 5, 6, 7, 28, 29, 30, 31) EVQA_SORT(0, 4) \
  EVQA_STORE_ROW(12, 0) EVQA_STORE_ROW(13, 0) EVQA_STORE_ROW(12, 1) EVQA_STORE_LAST(1)

#define EVQA_EXACT_PAIRS(P) \
  __asm__ volatile( \
    "ldp x5, x6, [%[t]]\nldp x3, x7, [%[t], #16]\nldp x8, x9, [%[t], #32]\nldp x11, x12, [%[t], #48]\n" \
    "1:\n" \
    "mov x1, x5\nadd x2, x6, #224\nmov x4, x3\n" EVQA_PAIRS##P(EVQA_PAIR_START) \
    "2:\n" \
    "ldp q4, q5, [x2]\nldp q6, q7, [x2, #32]\nadd x2, x2, #64\n" EVQA_PAIRS##P(EVQA_PAIR_LOAD) \
    "add x1, x1, #16 * " #P "\n" EVQA_PAIRS##P(EVQA_PAIR_DOT) "subs x4, x4, #1\nb.ne 2b\n" \
    "ldp q8, q9, [x6, #64]\nldp q10, q11, [x6, #96]\nmov x10, x8\nadd x8, x8, #8\n" \
    EVQA_FINISH##P "mov x6, x2\nsubs x7, x7, #1\nb.ne 1b\n" \
    : : [t] "r"(&t) \
    : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v16", "v17", "v18", "v19", \
      "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", "x1", "x2", "x3", "x4", "x5", \
      "x6", "x7", "x8", "x9", "x10", "x11", "x12", "cc", "memory")
// clang-format on

template <int kPairs>
EVQA_INLINE void exact_pairs(const ExactRun& t) {
  switch (kPairs) {
    case 1: EVQA_EXACT_PAIRS(1); break;
    case 2: EVQA_EXACT_PAIRS(2); break;
    case 3: EVQA_EXACT_PAIRS(3); break;
    default: EVQA_EXACT_PAIRS(4);
  }
}

}  // namespace
}  // namespace evqa
