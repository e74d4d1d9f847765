// Which levels there are, which of them this processor runs, and how all pack float32.
#include "levels.h"

#if defined(__x86_64__)
#include <initializer_list>

#include "x86/features.h"
#endif

namespace evqa {
namespace {

#ifdef EVQA_HAS_AVX512VNNI
bool runs_avx512vnni() {
  for (const char* name : {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni"})
    if (!x86_has(name)) return false;
  return true;
}
#endif

constexpr int kMost = 4;
Level table[kMost];
int filled;

void add(const char* name, const Kernels* kernels, bool supported) { table[filled++] = {name, kernels, supported}; }

// A constructor, so that no thread ever sees the table half made.
__attribute__((constructor)) void fill() {
  add("scalar", &kKernelsScalar, true);
#if defined(__x86_64__)
#ifdef EVQA_HAS_AVX2
  add("avx2", &kKernelsAvx2, x86_has("avx2"));
#endif
#ifdef EVQA_HAS_AVX512VNNI
  add("avx512vnni", &kKernelsAvx512vnni, runs_avx512vnni());
#endif
#elif defined(__aarch64__)
#ifdef EVQA_HAS_NEON
  add("neon", &kKernelsNeon, true);
#endif
#ifdef EVQA_HAS_NEONDOT
  add("neondot", &kKernelsNeondot, arm_has_dotprod());
#endif
#ifdef EVQA_HAS_NEONI8MM
  add("neoni8mm", &kKernelsNeoni8mm, arm_has_dotprod() && arm_has_i8mm());
#endif
#elif defined(__arm__)
#ifdef EVQA_HAS_NEON32
  add("neon32", &kKernelsNeon32, arm32_has_neon());
#endif
#endif
}

}  // namespace

size_t packed_floats(int tile, int channels, int columns) {
  return (size_t)((channels + tile - 1) / tile) * (size_t)tile * (size_t)columns;
}

void pack_floats(int tile, int channels, int columns, const float* weights, float* packed) {
  for (int first = 0; first < channels; first += tile)
    for (int i = 0; i < columns; ++i)
      for (int c = first; c < first + tile; ++c)
        *packed++ = c < channels ? weights[(ptrdiff_t)c * columns + i] : 0.0f;
}

const Level* levels(int* count) {
  *count = filled;
  return table;
}

}  // namespace evqa
