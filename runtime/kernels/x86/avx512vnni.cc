// AVX-512 with VNNI: vpdpbusd multiplies 64 uint8 activations by 64 int8 weights into 16 int32 sums.
#include <immintrin.h>

#include "../levels.h"

namespace evqa {
namespace {

constexpr int kStorageOffset = 0;
#define EVQA_WIDENS
#include "../head/vectors.inc"
inline I16 widen(const uint8_t* p) { return (I16)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p)); }
#include "../head/head.inc"

// GCC spills accumulators around _mm512_dpbusd_epi32; the instruction itself keeps them in registers.
inline void dot(__m512i& sum, __m512i activations, __m512i weights) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(activations), "v"(weights));
}
// The same for the lower 8 sums only, at half the cost where vectors of 512 bits are run as two of 256.
inline void dot_half(__m512i& sum, __m512i activations, __m512i weights) {
#ifdef __clang__
  __m256i low = _mm512_castsi512_si256(sum);
  asm("vpdpbusd %2, %1, %0" : "+v"(low) : "v"(_mm512_castsi512_si256(activations)), "v"(_mm512_castsi512_si256(weights)));
  sum = _mm512_castsi256_si512(low);
#else  // the same without the moves that GCC would add
  asm("vpdpbusd %t2, %t1, %t0" : "+v"(sum) : "v"(activations), "v"(weights));
#endif
}

// f(0), ..., f(N - 1) with constants: GCC keeps an array in registers only when no loop indexes it.
template <int I>
struct Index {
  static constexpr int value = I;
  constexpr operator int() const { return I; }
};
template <int N, int I = 0, class F>
__attribute__((always_inline)) inline void unrolled(const F& f) {
  if constexpr (I < N) {
    f(Index<I>{});
    unrolled<N, I + 1>(f);
  }
}
#define EVQA_UNROLLED [&](auto index) __attribute__((always_inline))

inline __m512i broadcast(const uint8_t* p) {
  int32_t quad;
  __builtin_memcpy(&quad, p, 4);
  return _mm512_set1_epi32(quad);
}

// How sums become bytes. Plain: zero point 0 and bounds 0 and 255, which is what saturation does by itself.
struct Output {
  __m512i zero, low, high;  // int16, uint8, uint8
  Output(int zero_, int low_, int high_)
      : zero(_mm512_set1_epi16((short)zero_)), low(_mm512_set1_epi8((char)low_)), high(_mm512_set1_epi8((char)high_)) {}

  static bool plain(int zero, int low, int high) { return zero == 0 && low == 0 && high == 255; }

  // Two vectors of int16 to 64 bytes, in the order in which 128-bit lanes are packed.
  template <bool Plain>
  __attribute__((always_inline)) inline __m512i bytes(__m512i a, __m512i b) const {
    if constexpr (Plain) return _mm512_packus_epi16(a, b);
    const __m512i all = _mm512_packus_epi16(_mm512_adds_epi16(a, zero), _mm512_adds_epi16(b, zero));
    return _mm512_min_epu8(_mm512_max_epu8(all, low), high);
  }

  // Four vectors of rounded int32 to 64 bytes: within each 128 bits the four values of v0, of v1, of v2, of v3.
  template <bool Plain>
  __attribute__((always_inline)) inline __m512i narrow(__m512i v0, __m512i v1, __m512i v2, __m512i v3) const {
    return bytes<Plain>(_mm512_packs_epi32(v0, v1), _mm512_packs_epi32(v2, v3));
  }
};

inline __m512 scaled(__m512i sum, __m512 scale) { return _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale); }

#include "avx512vnni_conv.inc"
#include "avx512vnni_depthwise.inc"

constexpr int kFloatLanes = 16, kFloatVectors = 1, kFloatPixels = 7;  // maps of 224-pixel networks divide by 7
#include "../float/float.inc"
constexpr FloatKernels kFloat = {kFloatTile, float_conv, float_depthwise};

}  // namespace

const Kernels kKernelsAvx512vnni = {
    "avx512vnni",   kStorageOffset, 48,             packed_bytes, pack,        conv,          64,          depthwise_packed_bytes,
    depthwise_pack, depthwise,      dense,          head_lstm_cell, head_attend, head_affine, head_quantize, head_answer,
    head_place,     &kFloat,
};

}  // namespace evqa
