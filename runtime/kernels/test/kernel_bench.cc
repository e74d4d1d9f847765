// Times kernels on the shapes of MobileNetV2 1.0 at 224 pixels, one row (or a small map) a call as the engine calls them.
//
//     kernel_bench [LEVEL]        the least of many runs: nanoseconds a call, multiply-accumulates a nanosecond
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../levels.h"

using namespace evqa;

namespace {

uint64_t now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

template <class F>
double least(const F& run) {
  double best = 1e18;
  for (int round = 0; round < 60; ++round) {
    constexpr int kCalls = 20;
    const uint64_t began = now();
    for (int i = 0; i < kCalls; ++i) run();
    const double each = (double)(now() - began) / kCalls;
    best = each < best ? each : best;
  }
  return best;
}

uint8_t* bytes(size_t n) {
  uint8_t* p = (uint8_t*)aligned_alloc(64, (n + 512 + 63) / 64 * 64);
  for (size_t i = 0; i < n + 512; ++i) p[i] = (uint8_t)(i * 131 % 127);
  return p;
}

struct Numbers {
  int32_t* bias = (int32_t*)bytes(8192);
  float* scale = (float*)bytes(8192);
  Numbers() {
    for (int i = 0; i < 2048; ++i) bias[i] = i, scale[i] = 66.0f / 65536;  // about 1e-3, as models have them
  }
};

void time_conv(const Kernels& k, const char* name, int pixels, int inputs, int outputs, ConvShape shape, int in_pixel,
               bool residual) {
  static Numbers numbers;
  const size_t row = (size_t)shape.segments * shape.segment_quads * 4;
  uint8_t *in = bytes((size_t)pixels * in_pixel + 4096), *out = bytes((size_t)pixels * outputs), *w = bytes(row * outputs);
  uint8_t* packed = bytes(k.conv_packed_bytes(shape, outputs));
  k.conv_pack(shape, outputs, (const int8_t*)w, packed);
  ConvArgs a = {shape, in, in_pixel, 700, pixels, packed, outputs, numbers.bias, numbers.scale, out, outputs, residual ? 3 : 0, 0, 255,
                residual ? bytes((size_t)pixels * outputs) : nullptr, 0.5f, 3};
  if (k.conv_prepare) k.conv_prepare(a, packed);
  const double ns = least([&] { k.conv(a); });
  const double macs = (double)pixels * inputs * outputs;
  printf("%-12s conv %-10s %4d pixels %4d -> %4d %9.1f ns %6.1f MAC/ns\n", k.name, name, pixels, inputs, outputs, ns, macs / ns);
}

void time_depthwise(const Kernels& k, int pixels, int channels, int stride, int out_rows) {
  static Numbers numbers;
  const size_t row = (size_t)(pixels * stride + 2) * channels;
  uint8_t *in = bytes(row * 5), *out = bytes((size_t)pixels * channels * 2), *w = bytes((size_t)channels * 9);
  uint8_t* packed = bytes(k.depthwise_packed_bytes(channels));
  k.depthwise_pack(channels, (const int8_t*)w, packed);
  DepthwiseArgs a = {{in, in + row, in + 2 * row, in + 3 * row, in + 4 * row}, channels, channels, stride, pixels, out_rows,
                     {out, out + (size_t)pixels * channels}, packed, numbers.bias, numbers.scale, 0, 0, 255};
  if (k.depthwise_prepare) k.depthwise_prepare(a, packed);
  const double ns = least([&] { k.depthwise(a); });
  const double macs = 9.0 * pixels * channels * out_rows;
  printf("%-12s depthwise stride %d %3d pixels %4d channels %d rows %9.1f ns %6.1f MAC/ns\n", k.name, stride, pixels,
         channels, out_rows, ns, macs / ns);
}

void time_dense(const Kernels& k, const char* name, int rows, int inputs, int outputs) {
  const ConvShape shape = {1, inputs / 4};
  uint8_t *in = bytes((size_t)rows * inputs), *w = bytes((size_t)inputs * outputs), *packed = bytes(k.conv_packed_bytes(shape, outputs));
  k.conv_pack(shape, outputs, (const int8_t*)w, packed);
  int32_t *correction = (int32_t*)bytes((size_t)outputs * 4 + 256), *out = (int32_t*)bytes((size_t)(outputs + 64) * rows * 4);
  const DenseArgs a = {in, inputs, rows, inputs / 4, packed, outputs, correction, out, outputs + 64};
  const double ns = least([&] { k.dense(a); });
  printf("%-12s dense %-10s %2d rows %4d -> %4d %9.1f ns %6.1f MAC/ns\n", k.name, name, rows, inputs, outputs, ns,
         (double)rows * inputs * outputs / ns);
}

float* some_floats(size_t n) {
  float* p = (float*)bytes(n * 4);
  for (size_t i = 0; i < n; ++i) p[i] = (float)(i * 131 % 127) / 127.0f - 0.4f;
  return p;
}

void time_float_conv(const Kernels& k, const char* name, int pixels, int outputs, ConvShape shape, int in_pixel,
                     bool residual) {
  const int inputs = shape.segments * shape.segment_quads;
  float *in = some_floats((size_t)pixels * in_pixel + 4096), *w = some_floats((size_t)inputs * outputs);
  float* packed = some_floats(packed_floats(k.real->tile, outputs, inputs));
  pack_floats(k.real->tile, outputs, inputs, w, packed);
  ConvArgs a = {};
  a.shape = shape, a.in = (const uint8_t*)in, a.in_pixel = in_pixel * 4, a.in_segment = 2800, a.pixels = pixels;
  a.packed = packed, a.channels = outputs, a.out = bytes((size_t)pixels * outputs * 4), a.out_pixel = outputs * 4;
  a.residual = residual ? (const uint8_t*)some_floats((size_t)pixels * outputs) : nullptr;
  a.real = {some_floats(2048), 0.0f, 6.0f};
  const double ns = least([&] { k.real->conv(a); }), macs = (double)pixels * inputs * outputs;
  printf("%-12s float conv %-10s %4d pixels %4d -> %4d %9.1f ns %6.1f MAC/ns\n", k.name, name, pixels, inputs, outputs, ns, macs / ns);
}

void time_float_depthwise(const Kernels& k, int pixels, int channels, int stride, int out_rows) {
  const size_t row = (size_t)(pixels * stride + 2) * channels;
  DepthwiseArgs a = {};
  for (auto& r : a.rows) r = (const uint8_t*)some_floats(row);
  a.channels = channels, a.pitch = channels * 4, a.stride = stride, a.pixels = pixels, a.out_rows = out_rows;
  for (auto& o : a.out) o = bytes((size_t)pixels * channels * 4);
  a.packed = some_floats((size_t)channels * 9);
  a.real = {some_floats(2048), 0.0f, 6.0f};
  const double ns = least([&] { k.real->depthwise(a); }), macs = 9.0 * pixels * channels * out_rows;
  printf("%-12s float depthwise stride %d %3d pixels %4d channels %d rows %9.1f ns %6.1f MAC/ns\n", k.name, stride, pixels,
         channels, out_rows, ns, macs / ns);
}

void time_level(const Kernels& k) {
  struct { int pixels, inputs, outputs; bool residual; } convs[] = {
      {224, 32, 16, false}, {112, 16, 96, false}, {112, 96, 24, false},  {56, 24, 144, false},  {112, 144, 24, true},
      {56, 144, 32, false}, {28, 32, 192, false}, {56, 192, 32, true},   {28, 192, 64, false},  {14, 64, 96, false},
      {196, 384, 64, true}, {196, 384, 96, false}, {14, 96, 96, false},  {196, 576, 96, true},  {49, 576, 160, false},
      {7, 160, 96, false},  {49, 960, 160, true}, {49, 960, 320, false}, {49, 320, 1280, false}, {49, 1280, 256, false}};
  time_conv(k, "first 3x3", 112, 27, 32, {3, 3}, 6, false);
  time_float_conv(k, "first 3x3", 112, 32, {3, 9}, 6, false);
  for (const auto& c : convs)
    time_float_conv(k, c.residual ? "1x1 + add" : "1x1", c.pixels, c.outputs, {1, c.inputs}, c.inputs, c.residual);
  for (const auto& c : convs) time_conv(k, c.residual ? "1x1 + add" : "1x1", c.pixels, c.inputs, c.outputs, {1, c.inputs / 4}, c.inputs, c.residual);
  struct { int pixels, channels, stride; } filters[] = {{112, 32, 1}, {56, 96, 2}, {56, 144, 1}, {28, 144, 2}, {28, 192, 1},
                                                        {14, 192, 2}, {14, 96, 1}, {7, 96, 2}, {7, 96, 1}};
  for (const auto& f : filters) time_depthwise(k, f.pixels, f.channels, f.stride, 2);
  for (const auto& f : filters) time_float_depthwise(k, f.pixels, f.channels, f.stride, 2);
  time_dense(k, "lstm x", 8, 96, 768);
  time_dense(k, "lstm h", 1, 192, 768);
  time_dense(k, "question", 1, 192, 896);
  time_dense(k, "picture", 1, 768, 384);
}

}  // namespace

int main(int argc, char** argv) {
  int count;
  const Level* all = levels(&count);
  for (int i = 0; i < count; ++i)
    if (all[i].supported && (argc > 1 ? !strcmp(argv[1], all[i].name) : i == count - 1)) time_level(*all[i].kernels);
}
