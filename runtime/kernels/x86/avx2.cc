// AVX2. vpmaddubsw would saturate, so activations and weights meet as 16-bit values: vpmaddwd multiplies 16 pairs into
// 8 int32 sums.
#include <immintrin.h>

#include "../levels.h"

namespace evqa {
namespace {

constexpr int kStorageOffset = 0;
#define EVQA_WIDENS
#include "../head/vectors.inc"
inline I16 widen(const uint8_t* p) {
  const __m128i v = _mm_loadu_si128((const __m128i*)p);
  const __m256i halves[2] = {_mm256_cvtepu8_epi32(v), _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(v, v))};
  I16 wide;
  __builtin_memcpy(&wide, halves, sizeof wide);
  return wide;
}
#include "../head/head.inc"

// Up to 16 bytes; fewer are never read or written beyond.
inline __m128i load_bytes(const uint8_t* p, int count) {
  if (count >= 16) return _mm_loadu_si128((const __m128i*)p);
  alignas(16) uint8_t some[16] = {};
  __builtin_memcpy(some, p, (size_t)count);
  return _mm_load_si128((const __m128i*)some);
}

inline void store_bytes(uint8_t* p, __m128i v, int count) {
  if (count >= 16) return _mm_storeu_si128((__m128i*)p, v);
  alignas(16) uint8_t some[16];
  _mm_store_si128((__m128i*)some, v);
  __builtin_memcpy(p, some, (size_t)count);
}

struct Output {
  __m256i zero;
  __m128i low, high;
  Output(int zero_, int low_, int high_)
      : zero(_mm256_set1_epi16((short)zero_)), low(_mm_set1_epi8((char)low_)), high(_mm_set1_epi8((char)high_)) {}

  // 16 scaled sums, in order, to bytes.
  __m128i bytes(__m256 y0, __m256 y1) const {
    const __m256i words = _mm256_adds_epi16(_mm256_packs_epi32(_mm256_cvtps_epi32(y0), _mm256_cvtps_epi32(y1)), zero);
    const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);
    const __m128i narrow = _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
    return _mm_min_epu8(_mm_max_epu8(narrow, low), high);
  }
};

inline __m256 scaled(__m256i sum, const float* scale) {
  return _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(scale));
}

#include "avx2_conv.inc"
#include "avx2_depthwise.inc"

constexpr int kFloatLanes = 8, kFloatVectors = 2, kFloatPixels = 4;
#include "../float/float.inc"
constexpr FloatKernels kFloat = {kFloatTile, float_conv, float_depthwise};

}  // namespace

const Kernels kKernelsAvx2 = {
    "avx2",         kStorageOffset, kTile,          packed_bytes, pack,        conv,          kTile,       depthwise_packed_bytes,
    depthwise_pack, depthwise,      dense,          head_lstm_cell, head_attend, head_affine, head_quantize, head_answer,
    head_place,     &kFloat,
};

}  // namespace evqa
