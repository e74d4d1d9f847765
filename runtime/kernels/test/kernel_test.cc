// Every level of this build that the processor runs, against the scalar level, bit for bit, around every tile edge.
//
//     kernel_test [SEED [LEVEL]]        exit code 1 at the first difference; the seed is printed
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <initializer_list>

#include "../levels.h"

using namespace evqa;

namespace {

uint64_t state;
uint32_t next() {  // splitmix64
  uint64_t z = (state += 0x9E3779B97F4A7C15ull);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return (uint32_t)((z ^ (z >> 31)) >> 16);
}
int between(int low, int high) { return low + (int)(next() % (uint32_t)(high - low + 1)); }
float real(float low, float high) { return low + (high - low) * (float)(next() & 0xFFFFFF) / 16777216.0f; }

constexpr int kSlack = 256;  // readable, and on outputs guarded, on both sides

struct Bytes {
  uint8_t* base;
  size_t size;
  explicit Bytes(size_t n, int fill = -1) : size(n) {
    base = (uint8_t*)aligned_alloc(64, (n + 2 * kSlack + 63) / 64 * 64);
    for (size_t i = 0; i < n + 2 * kSlack; ++i) base[i] = (uint8_t)(fill >= 0 ? fill : (int)next());
  }
  ~Bytes() { free(base); }
  Bytes(const Bytes&) = delete;
  uint8_t* at() { return base + kSlack; }
  template <class T>
  T* as() { return (T*)at(); }
};

// q - offset, from and to memory.
void to_stored(Bytes& b, int offset) {
  for (size_t i = 0; i < b.size + 2 * kSlack; ++i) b.base[i] = (uint8_t)(b.base[i] - offset);
}

bool failed;
void compare(const char* what, const char* level, Bytes& expected, Bytes& got, int offset, const char* about) {
  to_stored(got, -offset);
  for (size_t i = 0; i < expected.size + 2 * kSlack; ++i)
    if (expected.base[i] != got.base[i]) {
      printf("%s %s: byte %ld is %d, scalar says %d; %s\n", level, what, (long)i - kSlack, got.base[i], expected.base[i],
             about);
      failed = true;
      return;
    }
}

void fill(Bytes& b, float low, float high) {
  for (size_t i = 0; i < b.size / 4; ++i) b.as<float>()[i] = real(low, high);
}

// Sometimes no bounds, sometimes those of ReLU6.
FloatOutput float_output(Bytes& bias) {
  fill(bias, -1.0f, 1.0f);
  return between(0, 1) ? FloatOutput{bias.as<float>(), 0.0f, 6.0f} : FloatOutput{bias.as<float>(), -3.4e38f, 3.4e38f};
}

// Scales of a layer: arbitrary, multiples of 2^-16, for which some levels have a shorter way, of 2^-9, which give many ties,
// or of several kinds.
enum Scales { kArbitrary, kFine, kCoarse, kMixed };
Scales some_scales() { return (Scales)between(0, 3); }
float scale_of(Scales kind, float low, float high) {
  const float s = real(low, high), units = kind == kCoarse ? 512.0f : 65536.0f;
  if (kind == kArbitrary || (kind == kMixed && between(0, 40) == 0)) return s;
  return fmaxf(rintf(s * units), 1.0f) / units;
}

int8_t weight() { return (int8_t)between(-127, 127); }

int padded(int n) { return (n + kChannelPad - 1) / kChannelPad * kChannelPad; }

void copy(Bytes& to, Bytes& from) { memcpy(to.base, from.base, from.size + 2 * kSlack); }

void test_conv(const Kernels& k, int pixels, int channels, ConvShape shape, bool residual) {
  const int run = shape.segment_quads * 4, row = run * shape.segments, offset = k.storage_offset;
  const int in_pixel = between(0, 1) ? run : between(4, run + 9);
  const ptrdiff_t in_segment = (ptrdiff_t)pixels * in_pixel + run + between(0, 5);
  Bytes in((size_t)(in_segment * shape.segments + run)), residue((size_t)pixels * (channels + 5));
  Bytes weights((size_t)channels * row), bias(padded(channels) * 4, 0), scale(padded(channels) * 4, 0);
  Bytes own_in(in.size), own_residue(residue.size), own_bias(bias.size, 0);
  copy(own_in, in), copy(own_residue, residue), to_stored(own_in, offset), to_stored(own_residue, offset);
  const Scales scales = some_scales();
  for (int c = 0; c < channels; ++c) {
    int sum = 0;
    for (int i = 0; i < row; ++i) sum += (weights.as<int8_t>()[c * row + i] = weight());
    bias.as<int32_t>()[c] = between(-20000, 20000);
    own_bias.as<int32_t>()[c] = bias.as<int32_t>()[c] + offset * sum;
    scale.as<float>()[c] = scale_of(scales, 1e-4f, 2.0f / (float)row);
  }
  Bytes packed(k.conv_packed_bytes(shape, channels)), plain(kKernelsScalar.conv_packed_bytes(shape, channels));
  k.conv_pack(shape, channels, weights.as<int8_t>(), packed.at());
  kKernelsScalar.conv_pack(shape, channels, weights.as<int8_t>(), plain.at());
  const int out_pixel = channels + between(0, 5);
  Bytes expected((size_t)pixels * out_pixel, 77), got(expected.size, 77);
  to_stored(got, offset);
  const int zero = between(0, 200), low = between(0, 1) ? 0 : between(0, 60), high = between(0, 1) ? 255 : between(90, 255);
  ConvArgs a = {shape, in.at(), in_pixel, in_segment, pixels, plain.at(), channels, bias.as<int32_t>(), scale.as<float>(),
                expected.at(), out_pixel, zero, low, high, residual ? residue.at() : nullptr, real(0.2f, 1.5f), between(0, 255)};
  kKernelsScalar.conv(a);
  a.in = own_in.at(), a.packed = packed.at(), a.bias = own_bias.as<int32_t>(), a.out = got.at();
  a.out_zero -= offset, a.low -= offset, a.high -= offset, a.residual_zero -= offset;
  if (residual) a.residual = own_residue.at();
  if (k.conv_prepare) k.conv_prepare(a, packed.at());
  k.conv(a);
  char about[160];
  snprintf(about, sizeof about, "pixels=%d channels=%d segments=%d quads=%d residual=%d in_pixel=%d out_pixel=%d", pixels,
           channels, shape.segments, shape.segment_quads, residual, in_pixel, out_pixel);
  compare("conv", k.name, expected, got, offset, about);
}

void test_depthwise(const Kernels& k, int pixels, int channels, int stride, int out_rows) {
  const int offset = k.storage_offset, pitch = channels + (between(0, 2) ? 0 : between(0, 40));
  const int row = (pixels * stride + 2) * pitch, rows = (out_rows - 1) * stride + 3;
  Bytes in((size_t)row * rows), weights((size_t)channels * 9), own(in.size);
  copy(own, in), to_stored(own, offset);
  Bytes bias(padded(channels) * 4, 0), own_bias(padded(channels) * 4, 0), scale(padded(channels) * 4, 0);
  for (size_t i = 0; i < weights.size; ++i) weights.as<int8_t>()[i] = weight();
  const Scales scales = some_scales();
  for (int c = 0; c < channels; ++c) {
    int sum = 0;
    for (int i = 0; i < 9; ++i) sum += weights.as<int8_t>()[i * channels + c];
    bias.as<int32_t>()[c] = between(-20000, 20000);
    own_bias.as<int32_t>()[c] = bias.as<int32_t>()[c] + offset * sum;
    scale.as<float>()[c] = scale_of(scales, 1e-3f, 8e-3f);
  }
  Bytes packed(k.depthwise_packed_bytes(channels)), plain(kKernelsScalar.depthwise_packed_bytes(channels));
  k.depthwise_pack(channels, weights.as<int8_t>(), packed.at());
  kKernelsScalar.depthwise_pack(channels, weights.as<int8_t>(), plain.at());
  Bytes expected((size_t)pixels * pitch * out_rows, 77), got(expected.size, 77);
  to_stored(got, offset);
  const int zero = between(0, 200), low = between(0, 1) ? 0 : between(0, 60), high = between(0, 1) ? 255 : between(90, 255);
  DepthwiseArgs a = {{}, channels, pitch, stride, pixels, out_rows, {}, plain.at(), bias.as<int32_t>(), scale.as<float>(),
                     zero, low, high};
  auto aim = [&](Bytes& from, Bytes& to) {
    for (int r = 0; r < 5; ++r) a.rows[r] = r < rows ? from.at() + (ptrdiff_t)r * row : nullptr;
    for (int r = 0; r < 2; ++r) a.out[r] = r < out_rows ? to.at() + (ptrdiff_t)r * pixels * pitch : nullptr;
  };
  aim(in, expected);
  kKernelsScalar.depthwise(a);
  aim(own, got);
  a.packed = packed.at(), a.bias = own_bias.as<int32_t>();
  a.out_zero -= offset, a.low -= offset, a.high -= offset;
  if (k.depthwise_prepare) k.depthwise_prepare(a, packed.at());
  k.depthwise(a);
  char about[160];
  snprintf(about, sizeof about, "pixels=%d channels=%d pitch=%d stride=%d out_rows=%d", pixels, channels, pitch, stride,
           out_rows);
  compare("depthwise", k.name, expected, got, offset, about);
}

void test_float_conv(const Kernels& k, int pixels, int channels, ConvShape shape, bool residual) {
  const int columns = shape.segments * shape.segment_quads, out_pixel = 4 * (channels + between(0, 5));
  const int in_pixel = 4 * (shape.segment_quads + between(-shape.segment_quads / 2, 5));
  const ptrdiff_t in_segment = (ptrdiff_t)pixels * in_pixel + 4 * shape.segment_quads + 4 * between(0, 5);
  Bytes in((size_t)(in_segment * shape.segments)), weights((size_t)channels * columns * 4);
  Bytes residue((size_t)pixels * out_pixel), bias((size_t)padded(channels) * 4);
  fill(in, -2.0f, 2.0f), fill(weights, -1.0f, 1.0f), fill(residue, -2.0f, 2.0f);
  Bytes packed(packed_floats(k.real->tile, channels, columns) * 4), plain(packed_floats(1, channels, columns) * 4);
  pack_floats(k.real->tile, channels, columns, weights.as<float>(), packed.as<float>());
  pack_floats(1, channels, columns, weights.as<float>(), plain.as<float>());
  Bytes expected((size_t)pixels * out_pixel, 77), got(expected.size, 77);
  ConvArgs a = {};
  a.shape = shape, a.in = in.at(), a.in_pixel = in_pixel, a.in_segment = in_segment, a.pixels = pixels;
  a.packed = plain.at(), a.channels = channels, a.out = expected.at(), a.out_pixel = out_pixel;
  a.residual = residual ? residue.at() : nullptr, a.real = float_output(bias);
  kKernelsScalar.real->conv(a);
  a.packed = packed.at(), a.out = got.at();
  k.real->conv(a);
  char about[160];
  snprintf(about, sizeof about, "pixels=%d channels=%d segments=%d columns=%d residual=%d in_pixel=%d out_pixel=%d", pixels,
           channels, shape.segments, columns, residual, in_pixel, out_pixel);
  compare("float conv", k.name, expected, got, 0, about);
}

void test_float_depthwise(const Kernels& k, int pixels, int channels, int stride, int out_rows) {
  const int pitch = 4 * (channels + (between(0, 2) ? 0 : between(0, 40))), row = (pixels * stride + 2) * pitch;
  const int rows = (out_rows - 1) * stride + 3;
  Bytes in((size_t)row * rows), weights((size_t)channels * 36), bias((size_t)padded(channels) * 4);
  fill(in, -2.0f, 2.0f), fill(weights, -1.0f, 1.0f);
  Bytes expected((size_t)pixels * pitch * out_rows, 77), got(expected.size, 77);
  DepthwiseArgs a = {};
  a.channels = channels, a.pitch = pitch, a.stride = stride, a.pixels = pixels, a.out_rows = out_rows;
  a.packed = weights.at(), a.real = float_output(bias);
  for (int r = 0; r < rows; ++r) a.rows[r] = in.at() + (ptrdiff_t)r * row;
  for (Bytes* to : {&expected, &got}) {
    for (int r = 0; r < out_rows; ++r) a.out[r] = to->at() + (ptrdiff_t)r * pixels * pitch;
    (to == &got ? k : kKernelsScalar).real->depthwise(a);
  }
  char about[160];
  snprintf(about, sizeof about, "pixels=%d channels=%d pitch=%d stride=%d out_rows=%d", pixels, channels, pitch, stride,
           out_rows);
  compare("float depthwise", k.name, expected, got, 0, about);
}

void test_dense(const Kernels& k, int rows, int outputs, int quads) {
  const int offset = k.storage_offset, wide = padded(outputs);
  const ConvShape shape = {1, quads};
  Bytes in((size_t)rows * (quads * 4 + 3)), own(in.size), weights((size_t)outputs * quads * 4);
  copy(own, in), to_stored(own, offset);
  Bytes correction(wide * 4, 0), own_correction(wide * 4, 0);
  for (int j = 0; j < outputs; ++j) {
    int sum = 0;
    for (int i = 0; i < quads * 4; ++i) sum += (weights.as<int8_t>()[j * quads * 4 + i] = weight());
    correction.as<int32_t>()[j] = between(-99999, 99999);
    own_correction.as<int32_t>()[j] = correction.as<int32_t>()[j] + offset * sum;
  }
  Bytes packed(k.conv_packed_bytes(shape, outputs)), plain(kKernelsScalar.conv_packed_bytes(shape, outputs));
  k.conv_pack(shape, outputs, weights.as<int8_t>(), packed.at());
  kKernelsScalar.conv_pack(shape, outputs, weights.as<int8_t>(), plain.at());
  Bytes expected((size_t)rows * wide * 4, 0), got(expected.size, 0);
  DenseArgs a = {in.at(), quads * 4 + 3, rows, quads, plain.at(), outputs, correction.as<int32_t>(),
                 expected.as<int32_t>(), wide};
  kKernelsScalar.dense(a);
  a.in = own.at(), a.packed = packed.at(), a.correction = own_correction.as<int32_t>(), a.out = got.as<int32_t>();
  k.dense(a);
  for (int r = 0; r < rows; ++r)
    memset(got.as<int32_t>() + r * wide + outputs, 0, (size_t)(wide - outputs) * 4);  // may hold anything
  char about[96];
  snprintf(about, sizeof about, "rows=%d outputs=%d quads=%d", rows, outputs, quads);
  compare("dense", k.name, expected, got, 0, about);
}

void test_lstm(const Kernels& k, int hidden) {
  Bytes x((size_t)hidden * 16), h(x.size), sx(x.size), sh(x.size), bias(x.size), cell((size_t)hidden * 4, 0);
  Bytes own_cell(cell.size, 0), state((size_t)hidden, 0), own_state(state.size, 0);
  to_stored(own_state, k.storage_offset);
  Bytes z(x.size), own_z(x.size), out((size_t)hidden * 4, 0), own_out(out.size, 0);
  fill(sx, 1e-5f, 3e-4f), fill(sh, 1e-5f, 3e-4f), fill(bias, -4.0f, 4.0f), fill(cell, -3.0f, 3.0f), copy(own_cell, cell);
  for (int i = 0; i < 4 * hidden; ++i) x.as<int32_t>()[i] = between(-90000, 90000), h.as<int32_t>()[i] = between(-90000, 90000);
  LstmCellArgs a = {hidden, z.as<float>(), x.as<int32_t>(), h.as<int32_t>(), sx.as<float>(), sh.as<float>(),
                    bias.as<float>(), cell.as<float>(), out.as<float>(), state.at()};
  kKernelsScalar.lstm_cell(a);
  a.z = own_z.as<float>(), a.cell = own_cell.as<float>(), a.h_out = own_out.as<float>(), a.state = own_state.at();
  k.lstm_cell(a);
  compare("lstm_cell", k.name, out, own_out, 0, "h");
  compare("lstm_cell", k.name, cell, own_cell, 0, "cell");
  compare("lstm_cell", k.name, state, own_state, k.storage_offset, "state");
  fill(z, -4.0f, 4.0f), copy(own_z, z), copy(own_cell, cell);  // z given, as in float32 models
  a = {}, a.hidden = hidden, a.z = z.as<float>(), a.cell = cell.as<float>(), a.h_out = out.as<float>();
  kKernelsScalar.lstm_cell(a);
  a.z = own_z.as<float>(), a.cell = own_cell.as<float>(), a.h_out = own_out.as<float>();
  k.lstm_cell(a);
  compare("lstm_cell", k.name, cell, own_cell, 0, "cell, z given");
  compare("lstm_cell", k.name, out, own_out, 0, "h, z given");
}

void test_attend(const Kernels& k, int cells, int channels, int glimpses, bool real) {
  const size_t floats = (size_t)channels * 4;
  Bytes features((size_t)cells * channels), own(features.size), scale(floats), shift(floats), score(floats * glimpses);
  Bytes score_bias((size_t)glimpses * 4), modulated(floats * cells), weights((size_t)glimpses * cells * 4);
  Bytes pooled(floats * (glimpses + 1), 0), own_pooled(pooled.size, 0), look((size_t)cells * 4, 0), own_look(look.size, 0);
  copy(own, features), to_stored(own, k.storage_offset);
  fill(scale, -2.0f, 2.0f), fill(shift, -1.0f, 1.0f), fill(score, -1.0f, 1.0f), fill(score_bias, -1.0f, 1.0f);
  const int zero = between(0, 255);
  Bytes values(floats * cells);
  fill(values, -2.0f, 2.0f);
  AttendArgs a = {cells, channels, glimpses, real ? nullptr : features.at(), values.as<float>(), zero, 0.03f, scale.as<float>(), shift.as<float>(),
                  score.as<float>(), score_bias.as<float>(), modulated.as<float>(), weights.as<float>(), pooled.as<float>(),
                  look.as<float>()};
  kKernelsScalar.attend(a);
  a.features = real ? nullptr : own.at(), a.features_zero -= k.storage_offset, a.pooled = own_pooled.as<float>(), a.look = own_look.as<float>();
  k.attend(a);
  char about[96];
  snprintf(about, sizeof about, "cells=%d channels=%d glimpses=%d real=%d", cells, channels, glimpses, real);
  compare("attend pooled", k.name, pooled, own_pooled, 0, about);
  compare("attend look", k.name, look, own_look, 0, about);
  Bytes q((size_t)channels, 5), own_q(q.size, 5);
  to_stored(own_q, k.storage_offset);
  const float top = kKernelsScalar.quantize(channels, pooled.as<float>(), q.at());
  if (k.quantize(channels, pooled.as<float>(), own_q.at()) != top) failed = true;
  compare("quantize", k.name, q, own_q, k.storage_offset, about);
  const int low = between(0, 20), high = between(200, 255), out_zero = between(0, 200);
  Bytes placed(features.size, 9), own_placed(features.size, 9), place(features.size * 4);
  to_stored(own_placed, k.storage_offset);
  fill(place, -60.0f, 60.0f);
  kKernelsScalar.place((int)features.size, features.at(), zero, 0.7f, place.as<float>(), out_zero, low, high, placed.at());
  k.place((int)features.size, own.at(), zero - k.storage_offset, 0.7f, place.as<float>(), out_zero - k.storage_offset,
          low - k.storage_offset, high - k.storage_offset, own_placed.at());
  compare("place", k.name, placed, own_placed, k.storage_offset, about);
}

void test_answer(const Kernels& k, int joint, int outputs) {
  Bytes acc((size_t)joint * 4), scale(acc.size), bias(acc.size), v(acc.size, 0), own_v(acc.size, 0);
  Bytes w((size_t)joint * outputs * 4), out_bias((size_t)outputs * 4), out(out_bias.size, 0), own_out(out.size, 0);
  for (int i = 0; i < joint; ++i) acc.as<int32_t>()[i] = between(-900000, 900000);
  fill(scale, 1e-6f, 1e-5f), fill(bias, -1.0f, 1.0f), fill(w, -1.0f, 1.0f), fill(out_bias, -1.0f, 1.0f);
  for (float floor : {0.0f, -INFINITY}) {
    kKernelsScalar.affine(joint, acc.as<int32_t>(), scale.as<float>(), 0.7f, bias.as<float>(), floor, v.as<float>());
    k.affine(joint, acc.as<int32_t>(), scale.as<float>(), 0.7f, bias.as<float>(), floor, own_v.as<float>());
    compare("affine", k.name, v, own_v, 0, "");
  }
  kKernelsScalar.answer(joint, outputs, v.as<float>(), bias.as<float>(), w.as<float>(), out_bias.as<float>(), out.as<float>());
  k.answer(joint, outputs, v.as<float>(), bias.as<float>(), w.as<float>(), out_bias.as<float>(), own_out.as<float>());
  char about[64];
  snprintf(about, sizeof about, "joint=%d outputs=%d", joint, outputs);
  compare("answer", k.name, out, own_out, 0, about);
}

void test_level(const Kernels& k) {
  for (int pixels = 1; pixels <= 26 && !failed; ++pixels)
    for (int channels : {1, 7, 8, 15, 16, 17, 24, 31, 32, 33, 40, 48, 63, 64, 65, 80, 96, 112, 127, 128, 144, 200})
      test_conv(k, pixels, channels, {between(0, 2) ? 1 : between(2, 6), between(1, 20)}, between(0, 1));
  for (int quads : {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 24, 36, 48, 96, 144, 240, 320})
    for (int pixels : {1, 5, 7, 14, 28, 49, 56}) test_conv(k, pixels, between(1, 130), {between(0, 3) ? 1 : 3, quads}, between(0, 1));
  for (int pixels = 1; pixels <= 20 && !failed; ++pixels)
    for (int channels : {1, 7, 8, 15, 16, 17, 24, 32, 33, 40, 48, 63, 64, 65, 80, 96, 112, 128, 144, 160, 192, 200})
      for (int stride : {1, 2}) test_depthwise(k, pixels, channels, stride, between(1, 2));
  for (int pixels = 1; pixels <= 20 && !failed; ++pixels)
    for (int channels : {1, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 40, 48, 63, 64, 65, 96}) {
      test_float_conv(k, pixels, channels, {between(1, 4), between(1, 40)}, between(0, 1));
      for (int stride : {1, 2}) test_float_depthwise(k, pixels, channels, stride, between(1, 2));
    }
  for (int rows : {1, 2, 3, 5, 8, 12, 20})
    for (int outputs : {1, 9, 16, 33, 63, 64, 65, 112, 200, 256}) test_dense(k, rows, outputs, between(1, 60));
  for (int hidden : {1, 8, 15, 16, 17, 40, 192}) test_lstm(k, hidden);
  for (int channels : {1, 15, 16, 17, 40, 64, 100, 256}) for (int real : {0, 1}) test_attend(k, between(1, 49), channels, between(1, 3), real);
  for (int outputs : {1, 9, 16, 17, 64, 65, 112, 150}) test_answer(k, between(1, 400), outputs);
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t seed = argc > 1 ? strtoull(argv[1], nullptr, 10) : (uint64_t)time(nullptr);
  printf("seed %llu\n", (unsigned long long)seed);
  int count, passed = 0;
  const Level* all = levels(&count);
  for (int i = 1; i < count; ++i) {  // the first is scalar itself
    if (argc > 2 && strcmp(argv[2], all[i].name)) continue;
    if (!all[i].supported) {
      printf("%s: not supported by this processor\n", all[i].name);
      continue;
    }
    state = seed;
    test_level(*all[i].kernels);
    if (failed) return 1;
    printf("%s: ok\n", all[i].name);
    ++passed;
  }
  if (!passed) printf("no level but scalar runs here\n");
  return argc > 2 && !passed;
}
