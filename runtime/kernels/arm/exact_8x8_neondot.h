// The usual tiles of conv_8x8_neondot.h from beginning to end in assembler, outputs requantised exactly: tile after tile
// of 8 channels for the same pixels, with no branch but one a loop, as there is little to do for few inputs.
//
// v16..v31 sums, two a pixel; v0..v7 the pixels' inputs, then their outputs; v8..v15 weights, then v8, v9 the scale.
// x1..x8 pixels, at offset x9; x10 the tile's head; x11 weights; x12 quads, x13 those left; x14 output, x15 its pitch,
// x16 a row of it; x17 tiles left; x19 segments, x20 those left, x21 bytes between them, x22 the offset of the present one.
#pragma once

#include "requant_exact.h"
#include "sums_8x8_neondot.h"

namespace evqa {
namespace {

struct ExactRun {
  const uint8_t* in;
  ptrdiff_t in_pixel;
  const TileHead<1>* head;  // of the first tile
  int64_t quads;
  uint8_t* out;
  ptrdiff_t out_pixel;
  int64_t tiles, segments;
  ptrdiff_t in_segment;
};
static_assert(offsetof(ExactRun, in_segment) == 64);
static_assert(sizeof(TileHead<1>) == 128 && offsetof(TileHead<1>, start) == 0 &&
              offsetof(TileHead<1>, scale) == 32 && offsetof(TileHead<1>, shift) == 64);

// clang-format off
#define EVQA_EXACT_START(row, a0, a1, x, unused) "ldp q" #a0 ", q" #a1 ", [x10]\n"
#define EVQA_SHIFT0(row, a0, a1, x, unused) "ldr q" #row ", [x10, #64]\n"
#define EVQA_SCALE0(row, a0, a1, x, unused) "fmla v" #row ".4s, v" #a0 ".4s, v8.4s\nldr q" #a0 ", [x10, #80]\n"
#define EVQA_SCALE1(row, a0, a1, x, unused) "fmla v" #a0 ".4s, v" #a1 ".4s, v9.4s\n"
#define EVQA_WORDS(row, a0, a1, x, unused) "uzp1 v" #row ".8h, v" #row ".8h, v" #a0 ".8h\n"
#define EVQA_BYTES(row, a0, a1, x, unused) "sqxtn v" #row ".8b, v" #row ".8h\nst1 {v" #row ".8b}, [x16], x15\n"

// quads: all of a segment's products; from: offset of the first segment; next: what goes on to the next one.
#define EVQA_EXACT_TILES(R, quads, from, next) \
  "ldp x1, x9, [%[t]]\nldp x10, x12, [%[t], #16]\nldp x14, x15, [%[t], #32]\nldp x17, x19, [%[t], #48]\n" \
  "ldr x21, [%[t], #64]\nadd x2, x1, x9\nadd x3, x1, x9, lsl #1\nadd x4, x2, x9, lsl #1\n" \
  "add x5, x1, x9, lsl #2\nadd x6, x2, x9, lsl #2\nadd x7, x3, x9, lsl #2\nadd x8, x4, x9, lsl #2\n" \
  "1:\n" \
  "add x11, x10, #128\n" from EVQA_ROWS##R(EVQA_EXACT_START, 0) \
  quads next \
  "ldp q8, q9, [x10, #32]\nmov x16, x14\nadd x14, x14, #8\n" \
  EVQA_ROWS##R(EVQA_SHIFT0, 0) EVQA_ROWS##R(EVQA_SCALE0, 0) EVQA_ROWS##R(EVQA_SCALE1, 0) \
  EVQA_ROWS##R(EVQA_WORDS, 0) EVQA_ROWS##R(EVQA_BYTES, 0) \
  "mov x10, x11\nsubs x17, x17, #1\nb.ne 1b\n"
#define EVQA_ONE_SEGMENT(R, quads) EVQA_EXACT_TILES(R, quads, "mov x9, #0\n", "")
#define EVQA_SEGMENTS(R, quads) \
  EVQA_EXACT_TILES(R, "3:\nmov x9, x22\n" quads, "mov x22, #0\nmov x20, x19\n", \
                   "add x22, x22, x21\nsubs x20, x20, #1\nb.ne 3b\n")
#define EVQA_FOURS(R) \
  "sub x13, x12, #4\n" \
  "2:\n" \
  "ldp q8, q9, [x11]\n" EVQA_ROWS##R(EVQA_LOAD, "q") "ldp q10, q11, [x11, #32]\n" \
  EVQA_ROWS##R(EVQA_DOT, 8, 9, 0) \
  "ldp q12, q13, [x11, #64]\nldp q14, q15, [x11, #96]\nadd x11, x11, #128\nadd x9, x9, #16\n" \
  EVQA_ROWS##R(EVQA_DOT, 10, 11, 1) EVQA_ROWS##R(EVQA_DOT, 12, 13, 2) EVQA_ROWS##R(EVQA_DOT, 14, 15, 3) \
  "subs x13, x13, #4\nb.ge 2b\n"
#define EVQA_TWO(R) \
  EVQA_ROWS##R(EVQA_LOAD, "d") "ldp q10, q11, [x11]\nldp q12, q13, [x11, #32]\nadd x11, x11, #64\n" \
  EVQA_ROWS##R(EVQA_DOT, 10, 11, 0) EVQA_ROWS##R(EVQA_DOT, 12, 13, 1)
#define EVQA_THREE(R) \
  "ldp q8, q9, [x11]\n" EVQA_ROWS##R(EVQA_LOAD, "q") "ldp q10, q11, [x11, #32]\n" \
  EVQA_ROWS##R(EVQA_DOT, 8, 9, 0) "ldp q12, q13, [x11, #64]\nadd x11, x11, #96\n" \
  EVQA_ROWS##R(EVQA_DOT, 10, 11, 1) EVQA_ROWS##R(EVQA_DOT, 12, 13, 2)

#define EVQA_RUN_EXACT(code) \
  __asm__ volatile(code : : [t] "r"(&t) : EVQA_CLOBBERS, "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", \
    "v25", "v26", "v27", "v28", "v29", "v30", "v31", "x16", "x17", "x19", "x20", "x21", "x22")
#define EVQA_EXACT_CASE(R) \
  if (t.quads == 3) EVQA_RUN_EXACT(EVQA_SEGMENTS(R, EVQA_THREE(R))); \
  else if (t.segments > 1) EVQA_RUN_EXACT(EVQA_SEGMENTS(R, EVQA_FOURS(R))); \
  else if (t.quads % 4) EVQA_RUN_EXACT(EVQA_ONE_SEGMENT(R, EVQA_FOURS(R) EVQA_TWO(R))); \
  else EVQA_RUN_EXACT(EVQA_ONE_SEGMENT(R, EVQA_FOURS(R))); \
  break
// clang-format on

// The shapes exact_tiles knows: 3x3 of three channels; fours of quads; one segment of fours and two.
EVQA_INLINE bool exact_shape(ConvShape s) {
  const int quads = s.segment_quads;
  return quads == 3 || (quads >= 4 && (quads % 4 == 0 || (quads % 4 == 2 && s.segments == 1)));
}

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
