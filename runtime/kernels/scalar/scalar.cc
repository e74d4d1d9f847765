// The plainest level: the definition of every kernel, for any processor. See docs/evqa-format.md.
#include "../kernels.h"
#include "../levels.h"

namespace evqa {
namespace {

constexpr int kStorageOffset = 0;
#include "../head/head.inc"

size_t packed_bytes(ConvShape s, int channels) { return (size_t)channels * s.segments * s.segment_quads * 4; }

void pack(ConvShape s, int channels, const int8_t* weights, void* packed) {
  __builtin_memcpy(packed, weights, packed_bytes(s, channels));
}

int32_t dot(ConvShape s, const uint8_t* in, ptrdiff_t segment, const int8_t* w) {
  int32_t sum = 0;
  const int run = s.segment_quads * 4;
  for (int r = 0; r < s.segments; ++r)
    for (int i = 0; i < run; ++i) sum += in[r * segment + i] * w[r * run + i];
  return sum;
}

uint8_t requantize(float y, int zero, int low, int high) {
  const int q = round_to_int(y) + zero;
  return (uint8_t)(q < low ? low : q > high ? high : q);
}

void conv(const ConvArgs& a) {
  const int row = a.shape.segments * a.shape.segment_quads * 4;
  for (int p = 0; p < a.pixels; ++p)
    for (int c = 0; c < a.channels; ++c) {
      const int8_t* w = (const int8_t*)a.packed + (ptrdiff_t)c * row;
      const int32_t acc = a.bias[c] + dot(a.shape, a.in + p * a.in_pixel, a.in_segment, w);
      float y = (float)acc * a.scale[c];
      if (a.residual) y = y + (float)(a.residual[p * a.out_pixel + c] - a.residual_zero) * a.residual_scale;
      a.out[p * a.out_pixel + c] = requantize(y, a.out_zero, a.low, a.high);
    }
}

size_t depthwise_packed_bytes(int channels) { return (size_t)channels * 9; }

// [channels][9], so that a range of channels is a range of bytes.
void depthwise_pack(int channels, const int8_t* weights, void* packed) {
  for (int c = 0; c < channels; ++c)
    for (int k = 0; k < 9; ++k) ((int8_t*)packed)[c * 9 + k] = weights[k * channels + c];
}

void depthwise(const DepthwiseArgs& a) {
  for (int r = 0; r < a.out_rows; ++r)
    for (int p = 0; p < a.pixels; ++p)
      for (int c = 0; c < a.channels; ++c) {
        const int8_t* w = (const int8_t*)a.packed + c * 9;
        int32_t acc = a.bias[c];
        for (int k = 0; k < 9; ++k)
          acc += a.rows[r * a.stride + k / 3][(ptrdiff_t)(p * a.stride + k % 3) * a.pitch + c] * w[k];
        a.out[r][(ptrdiff_t)p * a.pitch + c] = requantize((float)acc * a.scale[c], a.out_zero, a.low, a.high);
      }
}

void dense(const DenseArgs& a) {
  const ConvShape shape = {1, a.quads};
  for (int r = 0; r < a.rows; ++r)
    for (int j = 0; j < a.outputs; ++j)
      a.out[r * a.out_row + j] = a.correction[j] + dot(shape, a.in + r * a.in_row, 0,
                                                       (const int8_t*)a.packed + (ptrdiff_t)j * a.quads * 4);
}

float finish(float y, const FloatOutput& o) {
  y = y > o.low ? y : o.low;
  return y < o.high ? y : o.high;
}

float float_at(const uint8_t* p) {
  float x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}

void float_conv(const ConvArgs& a) {
  const int run = a.shape.segment_quads;
  for (int p = 0; p < a.pixels; ++p)
    for (int c = 0; c < a.channels; ++c) {
      const float* w = (const float*)a.packed + (ptrdiff_t)c * a.shape.segments * run;
      float sum = 0.0f;
      for (int s = 0; s < a.shape.segments; ++s)
        for (int i = 0; i < run; ++i) sum = sum + float_at(a.in + p * a.in_pixel + s * a.in_segment + 4 * i) * w[s * run + i];
      float y = sum + a.real.bias[c];
      if (a.residual) y = y + float_at(a.residual + p * a.out_pixel + 4 * c);
      y = finish(y, a.real);
      __builtin_memcpy(a.out + p * a.out_pixel + 4 * c, &y, sizeof y);
    }
}

void float_depthwise(const DepthwiseArgs& a) {
  for (int r = 0; r < a.out_rows; ++r)
    for (int p = 0; p < a.pixels; ++p)
      for (int c = 0; c < a.channels; ++c) {
        float sum = 0.0f;
        for (int k = 0; k < 9; ++k)
          sum = sum + float_at(a.rows[r * a.stride + k / 3] + (ptrdiff_t)(p * a.stride + k % 3) * a.pitch + 4 * c) *
                          ((const float*)a.packed)[k * a.channels + c];
        const float y = finish(sum + a.real.bias[c], a.real);
        __builtin_memcpy(a.out[r] + (ptrdiff_t)p * a.pitch + 4 * c, &y, sizeof y);
      }
}

constexpr FloatKernels kFloat = {1, float_conv, float_depthwise};

}  // namespace

const Kernels kKernelsScalar = {
    "scalar",    kStorageOffset, 1,           packed_bytes, pack,          conv,       1,          depthwise_packed_bytes,
    depthwise_pack, depthwise,   dense,       head_lstm_cell, head_attend, head_affine, head_quantize, head_answer,
    head_place,  &kFloat,
};

}  // namespace evqa
