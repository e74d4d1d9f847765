// A model made ready for one level of kernels: weights packed, zero points folded into the sums' start, layers grouped
// into steps. Read-only once built, so handles and threads share it; counted by its users.
#pragma once

#include <atomic>

#include "../kernels/kernels.h"
#include "arena.h"
#include "model_file.h"
#include "question.h"

namespace evqa {

struct Layer {
  LayerRecord record;
  ConvShape shape;
  void* packed;          // depthwise: chunk after chunk, see Step
  const int32_t* bias;   // less (zero point - storage offset) * sum of weights
  const float* scale;
  int in_zero, out_zero, low, high, residual_zero;  // stored form
  FloatOutput real;      // in float32 models, where the others are null or 0
};

enum class Mode {
  kConv,    // one convolution that is not depthwise
  kDepthwise,
  kRows,    // convolution, depthwise, 1x1: a few rows of the widened map at a time
  kChunks,  // the same for small maps: all rows of some channels at a time
};

struct Step {
  Mode mode;
  int first, count;   // layers
  int last_use;       // the last step that reads what this one gives
  int chunk;          // channels that are widened and filtered together
  int rows;           // filtered rows that are made and narrowed together
  bool pad_out;       // what it gives needs a border, for the next step's 3x3
  int residual;       // the step whose output it adds, or -1
};

struct Dense {
  int outputs, quads;
  void* packed;
  const int32_t* correction;
  const float *scale, *bias;  // no scale in float32 models
};

struct Network {
  std::atomic<int> users{1};
  Arena arena;
  ModelFile file;
  const Kernels* kernels;
  int element;               // bytes of an activation
  Layer layers[kMostLayers];
  Step steps[kMostLayers];
  int step_count;
  const uint8_t* embedding;  // stored, or float32, rows of lstm_x.quads * 4 bytes
  Dense lstm_x, lstm_h, question, picture;  // question: scale, shift and question one below the other
  Vocabulary vocabulary;
  const char** answers;
  const char* about;
  void* mapping;             // of the file, or null
  size_t mapping_size;

  evqa_status build(const Kernels* kernels);  // after file.read
  size_t conv_bytes(ConvShape shape, int channels) const;  // of packed weights
  size_t depthwise_bytes(int channels) const;
  void conv(const ConvArgs& a) const { file.real() ? kernels->real->conv(a) : kernels->conv(a); }
  void depthwise(const DepthwiseArgs& a) const { file.real() ? kernels->real->depthwise(a) : kernels->depthwise(a); }
  void take() { users.fetch_add(1, std::memory_order_relaxed); }
  static void give_back(Network* network);
};

evqa_status open_network(const char* path, Network** out);
evqa_status open_network_memory(const void* bytes, size_t size, Network** out);
// The level that EDGE_VQA_ISA names, or the best this processor runs.
evqa_status choose_level(const Kernels** out);

}  // namespace evqa
