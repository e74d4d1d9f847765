// The inner loop of conv_4x16_neon.h, in assembler: compilers load single lanes through general registers and spill.
//
// Rows are pixels. Two rows at a time, for as many vectors of weights as there are (four or two):
//     sadalp of the products before; smull into one row's products, then the other's; smlal2 onto the one's, the other's
// so that an in-order core always has eight independent instructions between a product and its use. LD2R broadcasts
// k0 k1 and k2 k3. Loads stand together, behind the loop's additions, which move the pointers in advance: in the
// model of Cortex-A53 every change from vector arithmetic to loads costs some cycles.
//
// v16..v31 sums, row by row; v8..v11 weights; v0..v3 and v4..v7 products and v12 v13, v14 v15 inputs of even and odd
// rows. The rows' pointers are in x1..x4, those of the run in x13..x16, its distance from the rows in x22; x10 and
// x20 what sums begin with.
#pragma once

#include "start_4x16_neon.h"

namespace evqa {
namespace {

struct Sums {
  const uint8_t* in;
  ptrdiff_t in_pixel, in_segment;
  int64_t segments, quads;
  const int8_t* w;
  ptrdiff_t step;           // from a tile's weights to the next tile's
  const int32_t* start[2];  // what the sums of a row begin with, in each of two tiles
};
static_assert(offsetof(Sums, start) == 56);

// clang-format off
#define EVQA_MUL(t, w, k) "smull v" #t ".8h, v" #w ".8b, v" #k ".8b\n"
#define EVQA_MLA(t, w, k) "smlal2 v" #t ".8h, v" #w ".16b, v" #k ".16b\n"
#define EVQA_ADD(a, t) "sadalp v" #a ".4s, v" #t ".8h\n"
#define EVQA_W(q, at) "ldr q" #q ", [x8" at "]\n"
#define EVQA_CALL(macro, ...) macro(__VA_ARGS__)
#define EVQA_K(k01, k23, p) "ld2r {v" #k01 ".8h, v" #k23 ".8h}, [x" #p "]\n"
#define EVQA_P0 13
#define EVQA_P1 14
#define EVQA_P2 15
#define EVQA_P3 16
#define EVQA_IN(row, k) EVQA_CALL(EVQA_K, k, EVQA_P##row)
#define EVQA_ON1 "add x13, x13, #4\n"
#define EVQA_ON2 EVQA_ON1 "add x14, x14, #4\n"
#define EVQA_ON3 EVQA_ON2 "add x15, x15, #4\n"
#define EVQA_ON4 EVQA_ON3 "add x16, x16, #4\n"

// Two tiles: four vectors of weights, products from v##t on.
#define EVQA_MUL2(k, t0, t1, t2, t3) EVQA_MUL(t0, 8, k) EVQA_MUL(t1, 9, k) EVQA_MUL(t2, 10, k) EVQA_MUL(t3, 11, k)
#define EVQA_MLA2(k, t0, t1, t2, t3) EVQA_MLA(t0, 8, k) EVQA_MLA(t1, 9, k) EVQA_MLA(t2, 10, k) EVQA_MLA(t3, 11, k)
#define EVQA_ADD2(a0, a1, a2, a3, t0, t1, t2, t3) EVQA_ADD(a0, t0) EVQA_ADD(a1, t1) EVQA_ADD(a2, t2) EVQA_ADD(a3, t3)
#define EVQA_WEIGHTS2 EVQA_W(8, "") EVQA_W(9, ", #16") EVQA_W(10, ", x9") EVQA_W(11, ", x11")
#define EVQA_START2(s0, s1, s2, s3) EVQA_START1(s0, s1, s2, s3) \
  "ldr q" #s2 ", [x20]\nldr q" #s3 ", [x20, #16]\n"
// One tile: the same with the first two of everything.
#define EVQA_MUL1(k, t0, t1, t2, t3) EVQA_MUL(t0, 8, k) EVQA_MUL(t1, 9, k)
#define EVQA_MLA1(k, t0, t1, t2, t3) EVQA_MLA(t0, 8, k) EVQA_MLA(t1, 9, k)
#define EVQA_ADD1(a0, a1, a2, a3, t0, t1, t2, t3) EVQA_ADD(a0, t0) EVQA_ADD(a1, t1)
#define EVQA_WEIGHTS1 EVQA_W(8, "") EVQA_W(9, ", #16")
#define EVQA_START1(s0, s1, s2, s3) "ldr q" #s0 ", [x10]\nldr q" #s1 ", [x10, #16]\n"

#define EVQA_A 0, 1, 2, 3
#define EVQA_B 4, 5, 6, 7
#define EVQA_KA 12, 13
#define EVQA_KB 14, 15
#define EVQA_KC 28, 29
#define EVQA_PRODUCTS(T, k, t) EVQA_CALL(EVQA_MUL##T, k, t)
#define EVQA_ONTO(T, k, t) EVQA_CALL(EVQA_MLA##T, k, t)
#define EVQA_SUM(T, row, t) EVQA_CALL(EVQA_ADD##T, EVQA_ROW##row, t)
#define EVQA_ROW0 16, 17, 18, 19
#define EVQA_ROW1 20, 21, 22, 23
#define EVQA_ROW2 24, 25, 26, 27
#define EVQA_ROW3 28, 29, 30, 31

#define EVQA_TWO(T) EVQA_PRODUCTS(T, 12, EVQA_A) EVQA_PRODUCTS(T, 14, EVQA_B) \
  EVQA_ONTO(T, 13, EVQA_A) EVQA_ONTO(T, 15, EVQA_B)
#define EVQA_LOOP1(T) EVQA_IN(0, EVQA_KA) EVQA_SUM(T, 0, EVQA_A) EVQA_PRODUCTS(T, 12, EVQA_A) EVQA_ONTO(T, 13, EVQA_A)
#define EVQA_LOOP2(T) \
  EVQA_IN(0, EVQA_KA) EVQA_IN(1, EVQA_KB) EVQA_SUM(T, 1, EVQA_B) EVQA_TWO(T) EVQA_SUM(T, 0, EVQA_A)
#define EVQA_LOOP3(T) \
  EVQA_IN(0, EVQA_KA) EVQA_IN(1, EVQA_KB) EVQA_IN(2, EVQA_KC) EVQA_SUM(T, 2, EVQA_A) EVQA_TWO(T) \
  EVQA_SUM(T, 0, EVQA_A) EVQA_PRODUCTS(T, 28, EVQA_A) EVQA_SUM(T, 1, EVQA_B) EVQA_ONTO(T, 29, EVQA_A)
#define EVQA_LOOP4(T) \
  EVQA_IN(0, EVQA_KA) EVQA_IN(1, EVQA_KB) EVQA_SUM(T, 3, EVQA_B) EVQA_TWO(T) EVQA_SUM(T, 0, EVQA_A) \
  EVQA_IN(2, EVQA_KA) EVQA_IN(3, EVQA_KB) EVQA_SUM(T, 1, EVQA_B) EVQA_TWO(T) EVQA_SUM(T, 2, EVQA_A)

// Every row's sums are loaded, not copied: loads are free while Cortex-A72 multiplies.
#define EVQA_STARTS1(T) EVQA_CALL(EVQA_START##T, EVQA_ROW0)
#define EVQA_STARTS2(T) EVQA_STARTS1(T) EVQA_CALL(EVQA_START##T, EVQA_ROW1)
#define EVQA_STARTS3(T) EVQA_STARTS2(T) EVQA_CALL(EVQA_START##T, EVQA_ROW2)
#define EVQA_STARTS4(T) EVQA_STARTS3(T) EVQA_CALL(EVQA_START##T, EVQA_ROW3)

#define EVQA_REST1(T) EVQA_SUM(T, 0, EVQA_A)
#define EVQA_REST2(T) EVQA_SUM(T, 1, EVQA_B)
#define EVQA_REST3(T) EVQA_SUM(T, 2, EVQA_A)
#define EVQA_REST4(T) EVQA_SUM(T, 3, EVQA_B)

#define EVQA_ENTER \
  "ldp x1, x3, [%[s]]\nldp x5, x6, [%[s], #16]\nldp x7, x8, [%[s], #32]\n" \
  "ldr x9, [%[s], #48]\nldp x10, x20, [%[s], #56]\n" \
  "add x2, x1, x3\nadd x4, x2, x3, lsl #1\nadd x3, x2, x3\nadd x11, x9, #16\nmov x22, #-4\nsub x8, x8, #32\n"
// From sums that are loaded to all products added. `zero` is where the last row's products are: they begin with zero,
// as the first quad adds them.
#define EVQA_QUADS(T, R, zero) \
  EVQA_ZERO_##zero \
  "1:\n" \
  "mov x12, x7\nadd x13, x1, x22\nadd x14, x2, x22\nadd x15, x3, x22\nadd x16, x4, x22\n" \
  "2:\nadd x8, x8, #32\nsubs x12, x12, #1\n" EVQA_ON##R EVQA_WEIGHTS##T \
  EVQA_LOOP##R(T) \
  "b.ne 2b\n" \
  "add x22, x22, x5\nsubs x6, x6, #1\nb.ne 1b\n" \
  EVQA_REST##R(T)
#define EVQA_ZERO_A "movi v0.4s, #0\nmovi v1.4s, #0\nmovi v2.4s, #0\nmovi v3.4s, #0\n"
#define EVQA_ZERO_B "movi v4.4s, #0\nmovi v5.4s, #0\nmovi v6.4s, #0\nmovi v7.4s, #0\n"
#define EVQA_SUMS(T, R, zero) EVQA_ENTER EVQA_STARTS##R(T) EVQA_QUADS(T, R, zero)
#define EVQA_CLOBBERS \
  "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "x1", "x2", "x3", \
  "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x20", "x22", "cc", "memory"

#define EVQA_SUM_REGISTER(n) register int32x4_t v##n __asm__("v" #n)
#define EVQA_RUN_SUMS(T, R, zero) \
  __asm__ volatile(EVQA_SUMS(T, R, zero) \
    : "=w"(v16), "=w"(v17), "=w"(v18), "=w"(v19), "=w"(v20), "=w"(v21), "=w"(v22), "=w"(v23), \
      "=w"(v24), "=w"(v25), "=w"(v26), "=w"(v27), "=w"(v28), "=w"(v29), "=w"(v30), "=w"(v31) \
    : [s] "r"(&s) : EVQA_CLOBBERS)
// clang-format on

// acc[row][vector of four channels, in a PairHead's order].
template <int kRows, int kTiles>
EVQA_INLINE void run_sums(int32x4_t (&acc)[kRows][2 * kTiles], const Sums& s) {
  EVQA_SUM_REGISTER(16); EVQA_SUM_REGISTER(17); EVQA_SUM_REGISTER(18); EVQA_SUM_REGISTER(19);
  EVQA_SUM_REGISTER(20); EVQA_SUM_REGISTER(21); EVQA_SUM_REGISTER(22); EVQA_SUM_REGISTER(23);
  EVQA_SUM_REGISTER(24); EVQA_SUM_REGISTER(25); EVQA_SUM_REGISTER(26); EVQA_SUM_REGISTER(27);
  EVQA_SUM_REGISTER(28); EVQA_SUM_REGISTER(29); EVQA_SUM_REGISTER(30); EVQA_SUM_REGISTER(31);
  if (kTiles == 2) {
    switch (kRows) {
      case 1: EVQA_RUN_SUMS(2, 1, A); break;
      case 2: EVQA_RUN_SUMS(2, 2, B); break;
      case 3: EVQA_RUN_SUMS(2, 3, A); break;
      default: EVQA_RUN_SUMS(2, 4, B); break;
    }
  } else {
    switch (kRows) {
      case 1: EVQA_RUN_SUMS(1, 1, A); break;
      case 2: EVQA_RUN_SUMS(1, 2, B); break;
      case 3: EVQA_RUN_SUMS(1, 3, A); break;
      default: EVQA_RUN_SUMS(1, 4, B); break;
    }
  }
  const int32x4_t all[4][4] = {{v16, v17, v18, v19}, {v20, v21, v22, v23}, {v24, v25, v26, v27}, {v28, v29, v30, v31}};
  EVQA_UNROLL for (int r = 0; r < kRows; ++r)
    EVQA_UNROLL for (int v = 0; v < 2 * kTiles; ++v) acc[r][v] = all[r][v];
}

}  // namespace
}  // namespace evqa
