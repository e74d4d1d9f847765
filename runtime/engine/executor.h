// Runs a network: pixels to features on all threads of a handle, features and words to logits on the caller's.
#pragma once

#include "network.h"
#include "thread_pool.h"

namespace evqa {

constexpr int kMostWords = 64;

// A map of activations: rows of side pixels of `pixel` bytes, with a border of `pad` pixels.
struct Map {
  uint8_t* origin;  // pixel (0, 0), behind the border
  int side, pixel, pad;
  ptrdiff_t pitch() const { return (ptrdiff_t)(side + 2 * pad) * pixel; }
  uint8_t* row(int y) const { return origin + y * pitch(); }
};

struct Profile {
  static constexpr int kMost = kMostLayers + 2;
  uint64_t nanoseconds[kMost];  // pixels, then steps, then features; thread 0, including its waiting
};

struct Executor {
  const Network* network;
  ThreadPool pool;
  Arena arena;

  Map pixels;            // the first input; its border is filled once
  Map maps[kMostLayers]; // what each step gives
  uint8_t* filtered;     // depthwise outputs of a step in chunks, whole
  uint8_t* wide[kMostThreads];   // each thread's widened rows or chunk
  uint8_t* rows[kMostThreads];   // each thread's filtered rows
  uint8_t* border[kMostThreads]; // a row of zero points
  const uint8_t* given;  // pixels of this run
  ptrdiff_t given_stride;
  uint8_t* features;
  Profile* profile;

  // Head. In float32 models the sums are float32, and state and pooled_bytes have no use.
  int32_t *sums_x, *sums_h, *sums;
  float *z, *cell, *hidden, *dense, *modulated, *weights, *pooled, *look, *seen;
  uint8_t *state, *words, *pooled_bytes;
  const float* zeros;  // as many as the LSTM's gates

  // On failure nothing is left behind.
  evqa_status create(const Network* network, int threads);
  void destroy();

  // side * side * 3 bytes, `stride` from row to row -> features [cells * cells][channels], stored form or float32.
  void encode(const uint8_t* rgb, ptrdiff_t stride, uint8_t* features);

  // count: 1 to kMostWords ids, each below the network's words. logits [answers + 1], attention [cells * cells].
  void answer(const uint8_t* features, const int32_t* ids, int count, float* logits, float* attention);

 private:
  evqa_status allocate();
  bool plan_maps(size_t slot_bytes);
  const Map* added(const Step& step) const;
  void run(int thread);
  void copy_pixels(int thread);
  void place();
  void fill_border(const Map& map, int zero);
  void convolve_rows(const Layer& layer, const Map& in, const Map& out, const Map* residual, int from, int to);
  void run_conv(const Step& step, const Map& in, const Map& out, int thread);
  void run_depthwise(const Step& step, const Map& in, const Map& out, int thread);
  void run_rows(const Step& step, const Map& in, const Map& out, int thread);
  void run_chunks(const Step& step, const Map& in, const Map& out, int thread);
  const float* read_question(const int32_t* ids, int count);
  void read_real_question(int count);
  float sum_of_cells(const uint8_t* features, uint32_t channel) const;
  void pool_without_attention(const uint8_t* features, const float* scale, const float* shift);
};

}  // namespace evqa
