#include "resample.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#include "../kernels/x86/features.h"
#elif defined(__aarch64__)
#include <arm_neon.h>
#elif defined(EVQA_HAS_NEON32)
#include "../kernels/levels.h"
#endif

namespace evqa {
namespace {

#include "resample_rows.inc"

double triangle(double x) {
  if (x < 0) x = -x;
  return x < 1 ? 1 - x : 0;
}

int32_t weight_at(const int16_t* weights, int tap) {
  const int16_t* pair = weights + tap / 2 * 4;
  return pair[tap % 2] * (1 << kLowBits) + pair[2 + tap % 2];
}

// The plain forms, by which the others are tested.
void across_plain(const Axis& axis, const uint8_t* row, int step, uint8_t* out) {
  for (int x = 0; x < axis.out; ++x) {
    const Window window = axis.windows[x];
    const int16_t* weights = axis.weights + static_cast<size_t>(x) * static_cast<size_t>(axis.pairs) * 4;
    const uint8_t* in = row + static_cast<ptrdiff_t>(window.first) * step;
    int32_t r = kHalf, g = kHalf, b = kHalf;
    for (int t = 0; t < window.count; ++t, in += step) {
      const int32_t w = weight_at(weights, t);
      r += w * in[0], g += w * in[1], b += w * in[2];
    }
    out[3 * x] = clamp(r >> kWeightBits);
    out[3 * x + 1] = clamp(g >> kWeightBits);
    out[3 * x + 2] = clamp(b >> kWeightBits);
  }
}

void down_plain(const Ring& ring, Window window, const int16_t* weights, int bytes, uint8_t* out) {
  for (int i = 0; i < bytes; ++i) {
    Walk walk(ring, window.first, i);
    int32_t sum = kHalf;
    for (int t = 0; t < window.count; ++t) sum += weight_at(weights, t) * *walk.next();
    out[i] = clamp(sum >> kWeightBits);
  }
}

void nv12_plain(const uint8_t* luma, const uint8_t* chroma, int width, uint8_t* out) {
  nv12_rest(luma, chroma, 0, width, out);
}

void yuyv_plain(const uint8_t* row, int width, uint8_t* out) { yuyv_rest(row, 0, width, out); }

constexpr RowKernels kPlain = {"plain", across_plain, down_plain, nv12_plain, yuyv_plain};

#if defined(__x86_64__)
#include "resample_x86.inc"
#elif defined(__aarch64__)
#include "resample_arm.inc"
#endif

}  // namespace

const RowKernels* const* row_kernels(int* count) {
#if defined(__x86_64__)
  static constexpr const RowKernels* kSets[] = {&kPlain, &kSse2, &kAvx2};
  *count = x86_has("avx2") ? 3 : 2;
#elif defined(__aarch64__)
  static constexpr const RowKernels* kSets[] = {&kPlain, &kNeon};
  *count = 2;
#elif defined(EVQA_HAS_NEON32)
  static constexpr const RowKernels* kSets[] = {&kPlain, &kRowsNeon32};
  *count = arm32_has_neon() ? 2 : 1;
#else
  static constexpr const RowKernels* kSets[] = {&kPlain};
  *count = 1;
#endif
  return kSets;
}

int most_taps(int in, int out) {
  const double scale = static_cast<double>(in) / out;
  return static_cast<int>(ceil(scale < 1 ? 1 : scale)) * 2 + 1;
}

void fill_axis(const Axis& axis, double* scratch) {
  // precompute_coeffs and normalize_coeffs_8bpc of Pillow, operation for operation.
  const double scale = axis.span / axis.out;
  const double support = scale < 1 ? 1 : scale, inverse = 1.0 / support;
  for (int x = 0; x < axis.out; ++x) {
    const double center = (x + 0.5) * scale;
    int first = static_cast<int>(center - support + 0.5), end = static_cast<int>(center + support + 0.5);
    if (first < 0) first = 0;
    if (end > axis.in) end = axis.in;
    const int count = end - first;
    double total = 0;
    for (int t = 0; t < count; ++t) total += scratch[t] = triangle((t + first - center + 0.5) * inverse);
    int16_t* weights = axis.weights + static_cast<size_t>(x) * static_cast<size_t>(axis.pairs) * 4;
    memset(weights, 0, static_cast<size_t>(axis.pairs) * 4 * sizeof(int16_t));
    for (int t = 0; t < count; ++t) {
      const double share = total != 0 ? scratch[t] / total : scratch[t];
      const int32_t weight = static_cast<int32_t>(0.5 + share * (1 << kWeightBits));
      weights[t / 2 * 4 + t % 2] = static_cast<int16_t>(weight >> kLowBits);
      weights[t / 2 * 4 + 2 + t % 2] = static_cast<int16_t>(weight & ((1 << kLowBits) - 1));
    }
    axis.windows[x] = {first, count};
  }
}

}  // namespace evqa
