// One picture axis at a time, as Pillow's Resample.c does it: a triangle filter, widened when the picture shrinks, with
// weights normalised in double and rounded to 22 bits after the point.
//
//     out = clamp((2^21 + sum_t weight[t] * in[first + t]) >> 22, 0, 255)
//
// A weight (0 to 2^22) is kept as two 16-bit halves, weight = high * 2^11 + low, since every processor multiplies
// 16-bit numbers quickly; the sums are exact either way.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace evqa {

constexpr int kWeightBits = 22, kLowBits = 11;
constexpr int kRowSlack = 32;  // bytes beyond a row that may be read; they do not matter

struct Window {
  int32_t first, count;  // inputs that an output is made of
};

struct Axis {
  int in, out;
  double span;       // how many of the inputs the outputs stand for, from the first on: in, or up to one less
  int pairs;         // of weights an output, in memory: an even number, the ones beyond `count` are zero
  Window* windows;   // [out]
  int16_t* weights;  // [out][pairs][4]: high, high, low, low of two weights
};

// Rows of RGB pixels, 3 bytes each, that wait to be summed: row i is in slot i % slots. kRowSlack bytes beyond a row
// are readable.
struct Ring {
  uint8_t* bytes;
  int slots;
  size_t pitch;  // bytes from slot to slot
};

struct RowKernels {
  const char* name;
  // Shrinks or widens a row of RGB pixels, `step` (3 or 4) bytes each, to axis.out pixels of 3 bytes. May read
  // kRowSlack bytes beyond the row and write one beyond `out`.
  void (*across)(const Axis& axis, const uint8_t* row, int step, uint8_t* out);
  // out[0..bytes) from the rows of `window`.
  void (*down)(const Ring& ring, Window window, const int16_t* weights, int bytes, uint8_t* out);
  // To RGB pixels of 4 bytes (the fourth means nothing), see image.h. nv12: chroma holds (width + 1) / 2 pairs.
  void (*nv12)(const uint8_t* luma, const uint8_t* chroma, int width, uint8_t* out);
  void (*yuyv)(const uint8_t* row, int width, uint8_t* out);
};

// Every set of kernels that this processor runs, plainest first.
const RowKernels* const* row_kernels(int* count);

extern const RowKernels kRowsNeon32;  // in builds of the level neon32, for processors that run it

// Weights of an output at most; `pairs` of an axis is half of it, rounded up to an even number.
int most_taps(int in, int out);
inline int most_pairs(int in, int out) { return (most_taps(in, out) + 3) / 4 * 2; }

// Fills windows and weights, which hold what in, out and pairs call for. scratch: [most_taps(in, out)].
void fill_axis(const Axis& axis, double* scratch);

}  // namespace evqa
