// The border between the engine and the kernels: one table of functions an instruction set (a "level").
//
// Activations are uint8 values q. In memory a level keeps s = q - storage_offset as one byte: x86 and scalar keep q
// itself (offset 0), ARM keeps q - 128 as a signed byte, which its dot products take. Every zero point, clamp bound and
// row below is already in that form ("stored"), so a kernel never sees the offset. Models of float32 have activations of
// float32, with the same shapes and strides, and kernels of their own: FloatKernels.
//
// Files of one level are compiled with flags that other processors cannot run. Everything in them is static (in an
// anonymous namespace); they use nothing from the C++ library, and no inline function that another file also compiles.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace evqa {

constexpr int kChannelPad = 64;  // bias and scale arrays are readable, and zero, up to the next multiple of this

// How float32 sums become outputs: y = sum + bias, + residual; y > low ? y : low; then < high ? : high.
struct FloatOutput {
  const float* bias;       // [channels, padded]
  float low, high;
};

// A convolution as a matrix product. Every output pixel reads `segments` runs of `segment_quads` * 4 bytes: a 1x1
// convolution one run of its channels (or several, where its input lies in planes of some channels each), a 3x3
// convolution three runs (one a row), each three pixels long.
struct ConvShape {
  int segments;
  int segment_quads;  // a run is padded to whole quads; the weights there are zero, the bytes read are not looked at
};                    // a quad is four int8 or one float32

struct ConvArgs {
  ConvShape shape;
  const uint8_t* in;       // first run of the first pixel; 64 bytes beyond the last run are readable
  ptrdiff_t in_pixel;      // bytes from a pixel's run to the next pixel's
  ptrdiff_t in_segment;    // bytes from a run to the next run of the same pixel
  int pixels;
  const void* packed;      // by conv_pack
  int channels;            // outputs computed, from the packed tensor's first one on
  const int32_t* bias;     // [channels, padded]; zero points are already in it
  const float* scale;      // [channels, padded]
  uint8_t* out;
  ptrdiff_t out_pixel;     // bytes from pixel to pixel of `out` and of `residual`
  int out_zero, low, high; // stored form
  const uint8_t* residual; // or null: added before rounding, see docs/evqa-format.md
  float residual_scale;
  int residual_zero;       // stored form
  FloatOutput real = {};   // for FloatKernels, which look at no other bias, scale, zero point or bound
};

// 3x3 depthwise, padding already in the rows.
struct DepthwiseArgs {
  const uint8_t* rows[5];  // input rows; each pointer is at the pixel left of the first output's centre
  int channels;            // processed, from the pointers on
  int pitch;               // bytes from pixel to pixel, in and out
  int stride;              // 1 or 2, across and down
  int pixels;              // outputs a row
  int out_rows;            // 1 or 2; stride 1 reads rows[0..out_rows + 1], stride 2 rows[0..2 * out_rows]
  uint8_t* out[2];
  const void* packed;      // by depthwise_pack
  const int32_t* bias;
  const float* scale;
  int out_zero, low, high;
  FloatOutput real = {};   // as in ConvArgs
};

// out[r][j] = correction[j] + sum_i in[r][i] * w[j][i], int32.
struct DenseArgs {
  const uint8_t* in;       // stored activations, `quads` * 4 bytes a row are read
  ptrdiff_t in_row;
  int rows;
  int quads;
  const void* packed;      // conv_pack with shape {1, quads}
  int outputs;
  const int32_t* correction;  // [outputs, padded]
  int32_t* out;            // written up to the next multiple of kChannelPad
  ptrdiff_t out_row;       // int32 elements
};

struct LstmCellArgs {      // one step, see "LSTM" in docs/evqa-format.md; gates: forget, input, candidate, output
  int hidden;
  float* z;                // [4 * hidden]: given, or made here from the following, where x is not null
  const int32_t *x, *h;    // [4 * hidden]
  const float *x_scale, *h_scale, *bias;
  float* cell;             // [hidden], in and out
  float* h_out;            // [hidden]
  uint8_t* state;          // [hidden] or null, out: rint(h * 127) + 128 - storage_offset, one byte
};

struct AttendArgs {        // "Answer", with attention: features to pooled and look
  int cells, channels, glimpses;
  const uint8_t* features; // [cells][channels], stored; null where they are float32:
  const float* real;
  int features_zero;       // stored form
  float features_scale;
  const float *scale, *shift;       // [channels]: s and t
  const float *score, *score_bias;  // [glimpses][channels], [glimpses]
  float* modulated;        // scratch [cells][channels]
  float* weights;          // scratch [glimpses][cells]
  float* pooled;           // [(glimpses + 1) * channels]
  float* look;             // [cells]
};

// Convolutions of float32. Weights are packed by pack_floats.
struct FloatKernels {
  int tile;                // channels that are packed together
  void (*conv)(const ConvArgs&);
  void (*depthwise)(const DepthwiseArgs&);  // packed: [3][3][channels]
};

// [channels][columns] to tile after tile of [columns][tile], the last one filled up with zeros.
size_t packed_floats(int tile, int channels, int columns);
void pack_floats(int tile, int channels, int columns, const float* weights, float* packed);

struct Kernels {
  const char* name;        // the level's: scalar avx2 avx512vnni neon neondot neoni8mm neon32
  int storage_offset;      // 0 or 128

  int conv_tile;           // a multiple of so many channels is packed like its parts, each a multiple too
  size_t (*conv_packed_bytes)(ConvShape, int channels);
  // weights [channels][segments][segment_quads * 4]
  void (*conv_pack)(ConvShape, int channels, const int8_t* weights, void* packed);
  void (*conv)(const ConvArgs&);

  int depthwise_tile;      // as conv_tile
  size_t (*depthwise_packed_bytes)(int channels);
  void (*depthwise_pack)(int channels, const int8_t* weights /* [3][3][channels] */, void* packed);
  void (*depthwise)(const DepthwiseArgs&);

  void (*dense)(const DenseArgs&);
  // Plain float loops, one source (head/head.inc) compiled for every level.
  void (*lstm_cell)(const LstmCellArgs&);
  void (*attend)(const AttendArgs&);
  // out[j] = float(acc[j]) * scale[j] * back + bias[j], at least `floor`
  void (*affine)(int n, const int32_t* acc, const float* scale, float back, const float* bias, float floor, float* out);
  // rint(in * (255 / top)) stored; returns top / 255, 0 when the largest value is 0
  float (*quantize)(int n, const float* in, uint8_t* out);
  // logits[a] = sum_j (v[j] * u[j]) * w[j][a] + bias[a]
  void (*answer)(int joint, int outputs, const float* v, const float* u, const float* w, const float* bias, float* out);
  // features = clamp(rint(float(p - zero) * scale + place) + out_zero, low, high), stored
  void (*place)(int n, const uint8_t* p, int zero, float scale, const float* place, int out_zero, int low, int high,
                uint8_t* out);

  const FloatKernels* real;

  // Where a level has them, once after packing and before use: what it can know from bias, scale and out_zero goes into what
  // is packed. Those are the parts of the arguments that are looked at, and the shape and channels.
  void (*conv_prepare)(const ConvArgs&, void* packed) = nullptr;
  void (*depthwise_prepare)(const DepthwiseArgs&, void* packed) = nullptr;
};

// Null when the build does not hold the level; `supported` says whether this processor can run it.
struct Level {
  const char* name;
  const Kernels* kernels;
  bool supported;
};

// The levels of this architecture, plainest first; the count goes into *count.
const Level* levels(int* count);

}  // namespace evqa
