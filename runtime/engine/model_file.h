// A checked .evqa file (docs/evqa-format.md): records by value, tensors as pointers into the bytes.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "interface.h"

namespace evqa {

constexpr int kMostLayers = 256;

enum Precision : uint32_t { kInt8 = 0, kFloat32 = 1 };

struct NetworkRecord {
  uint32_t side, cells, channels, words, answers, attention, glimpses, embedding, hidden, joint;
  float temperature, features_scale;
  int32_t features_zero;
  float place_scale;
  int32_t pixel_zero;
  uint32_t precision;
  float pixel_scale;
  uint32_t zero;
};

struct LayerRecord {
  uint32_t depthwise, kernel, stride, inputs, outputs, in_side, out_side;
  int32_t in_zero, out_zero;
  float low, high;
  int32_t residual;
  float residual_scale;
  int32_t residual_zero;
  float out_scale;
  uint32_t zero;
  uint64_t weights, bias, scale;  // file offsets
};

struct HeadRecord {
  int32_t embedding_zero;
  uint32_t zero;
  uint64_t embedding, place, lstm_x, lstm_x_scale, lstm_h, lstm_h_scale, lstm_bias;
  uint64_t scale, scale_scale, scale_bias, shift, shift_scale, shift_bias, question, question_scale, question_bias;
  uint64_t score, score_bias, picture, picture_scale, picture_bias, answer, answer_bias;
};

static_assert(sizeof(NetworkRecord) == 72 && sizeof(LayerRecord) == 88 && sizeof(HeadRecord) == 8 + 23 * 8);

struct Section {
  const uint8_t* data;
  size_t size;
};

struct ModelFile {
  const uint8_t* bytes;
  size_t size;
  NetworkRecord network;
  LayerRecord layers[kMostLayers];
  int layer_count;
  HeadRecord head;
  Section about, words, answers;

  // Checks everything; on failure set_error says what is wrong. `name` is the file's, for messages.
  evqa_status read(const uint8_t* bytes, size_t size, const char* name);

  template <class T>
  const T* tensor(uint64_t offset) const {
    return (const T*)(bytes + offset);
  }
  bool real() const { return network.precision == kFloat32; }
  int pooled() const { return (int)((network.attention ? network.glimpses + 1 : 1) * network.channels); }
};

}  // namespace evqa
