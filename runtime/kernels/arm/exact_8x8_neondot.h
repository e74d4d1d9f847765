// The usual tiles of conv_8x8_neondot.h from beginning to end in assembler: one run of inputs, outputs requantised exactly.
// Tile after tile of 8 channels for the same pixels, with no branch but one a loop: branches cost what little there is to do
// for 16 or 24 inputs.
//
// v16..v31 sums, two a pixel; v0..v7 the pixels' inputs, then their outputs; v8..v15 weights, then v8, v9 the scale.
// x1..x8 pixels, at offset x9; x10 the tile's head; x11 weights; x12 quads, x13 those left; x14 output, x15 its pitch, x16 a
// row of it; x17 tiles left.
#pragma once

#include "requant_exact.h"
#include "sums_8x8_neondot.h"

namespace evqa {
namespace {

struct ExactRun {
  const uint8_t* in;
  ptrdiff_t in_pixel;
  const TileHead<kTile>* head;  // of the first tile
  int64_t quads;                // at least four
  uint8_t* out;
  ptrdiff_t out_pixel;
  int64_t tiles;
};
static_assert(offsetof(ExactRun, tiles) == 48);
static_assert(sizeof(TileHead<kTile>) == 128 && offsetof(TileHead<kTile>, start) == 0 &&
              offsetof(TileHead<kTile>, scale) == 32 && offsetof(TileHead<kTile>, shift) == 64);

// clang-format off
#define EVQA_EXACT_START(row, a0, a1, x, unused) "ldp q" #a0 ", q" #a1 ", [x10]\n"
#define EVQA_SHIFT0(row, a0, a1, x, unused) "ldr q" #row ", [x10, #64]\n"
#define EVQA_SCALE0(row, a0, a1, x, unused) "fmla v" #row ".4s, v" #a0 ".4s, v8.4s\nldr q" #a0 ", [x10, #80]\n"
#define EVQA_SCALE1(row, a0, a1, x, unused) "fmla v" #a0 ".4s, v" #a1 ".4s, v9.4s\n"
#define EVQA_WORDS(row, a0, a1, x, unused) "uzp1 v" #row ".8h, v" #row ".8h, v" #a0 ".8h\n"
#define EVQA_BYTES(row, a0, a1, x, unused) "sqxtn v" #row ".8b, v" #row ".8h\nst1 {v" #row ".8b}, [x16], x15\n"

// tail: what is left after quads in fours.
#define EVQA_EXACT_TILES(R, tail) \
  "ldp x1, x9, [%[t]]\nldp x10, x12, [%[t], #16]\nldp x14, x15, [%[t], #32]\nldr x17, [%[t], #48]\n" \
  "add x2, x1, x9\nadd x3, x1, x9, lsl #1\nadd x4, x2, x9, lsl #1\nadd x5, x1, x9, lsl #2\n" \
  "add x6, x2, x9, lsl #2\nadd x7, x3, x9, lsl #2\nadd x8, x4, x9, lsl #2\n" \
  "1:\n" \
  "add x11, x10, #128\nmov x9, #0\nsub x13, x12, #4\n" EVQA_ROWS##R(EVQA_EXACT_START, 0) \
  "2:\n" \
  "ldp q8, q9, [x11]\n" EVQA_ROWS##R(EVQA_LOAD, "q") "ldp q10, q11, [x11, #32]\n" \
  EVQA_ROWS##R(EVQA_DOT, 8, 9, 0) \
  "ldp q12, q13, [x11, #64]\nldp q14, q15, [x11, #96]\nadd x11, x11, #128\nadd x9, x9, #16\n" \
  EVQA_ROWS##R(EVQA_DOT, 10, 11, 1) EVQA_ROWS##R(EVQA_DOT, 12, 13, 2) EVQA_ROWS##R(EVQA_DOT, 14, 15, 3) \
  "subs x13, x13, #4\nb.ge 2b\n" \
  tail \
  "ldp q8, q9, [x10, #32]\nmov x16, x14\nadd x14, x14, #8\n" \
  EVQA_ROWS##R(EVQA_SHIFT0, 0) EVQA_ROWS##R(EVQA_SCALE0, 0) EVQA_ROWS##R(EVQA_SCALE1, 0) \
  EVQA_ROWS##R(EVQA_WORDS, 0) EVQA_ROWS##R(EVQA_BYTES, 0) \
  "mov x10, x11\nsubs x17, x17, #1\nb.ne 1b\n"
#define EVQA_TWO_QUADS(R) \
  EVQA_ROWS##R(EVQA_LOAD, "d") "ldp q10, q11, [x11]\nldp q12, q13, [x11, #32]\nadd x11, x11, #64\n" \
  EVQA_ROWS##R(EVQA_DOT, 10, 11, 0) EVQA_ROWS##R(EVQA_DOT, 12, 13, 1)

#define EVQA_RUN_EXACT(R, tail) \
  __asm__ volatile(EVQA_EXACT_TILES(R, tail) : : [t] "r"(&t) : EVQA_CLOBBERS, "v16", "v17", "v18", "v19", "v20", "v21", \
    "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", "x16", "x17")
#define EVQA_EXACT_CASE(R) \
  if (t.quads % 4 == 0) EVQA_RUN_EXACT(R, ""); else EVQA_RUN_EXACT(R, EVQA_TWO_QUADS(R)); break
// clang-format on

EVQA_INLINE bool has_exact_run(ConvShape s) { return s.segments == 1 && s.segment_quads >= 4 && s.segment_quads % 2 == 0; }

template <int kRows>
EVQA_INLINE void exact_tiles(const ExactRun& t) {
  switch (kRows) {
    case 1: EVQA_EXACT_CASE(1);
    case 2: EVQA_EXACT_CASE(2);
    case 3: EVQA_EXACT_CASE(3);
    case 4: EVQA_EXACT_CASE(4);
    case 5: EVQA_EXACT_CASE(5);
    case 6: EVQA_EXACT_CASE(6);
    case 7: EVQA_EXACT_CASE(7);
    default: EVQA_EXACT_CASE(8);
  }
}

}  // namespace
}  // namespace evqa
