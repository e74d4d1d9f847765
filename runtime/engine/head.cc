// The head: see "LSTM" and "Answer" in docs/evqa-format.md.
#include <math.h>
#include <string.h>

#include "executor.h"

namespace evqa {
namespace {

void multiply(const Kernels& k, const Dense& d, const uint8_t* in, int rows, int32_t* out, ptrdiff_t out_row) {
  k.dense({in, d.quads * 4, rows, d.quads, d.packed, d.outputs, d.correction, out, out_row});
}

// The same in float32, with `bias` added, at least `floor`; out_row in floats.
void multiply(const Kernels& k, const Dense& d, const void* in, int rows, const float* bias, float floor, float* out,
              ptrdiff_t out_row) {
  ConvArgs a = {};
  a.shape = {1, d.quads};
  a.in = (const uint8_t*)in;
  a.in_pixel = d.quads * 4;
  a.pixels = rows;
  a.packed = d.packed;
  a.channels = d.outputs;
  a.out = (uint8_t*)out;
  a.out_pixel = out_row * 4;
  a.real = {bias, floor, INFINITY};
  k.real->conv(a);
}

}  // namespace

// The LSTM over the words, then the three products of its last state: scale, shift and question, one after the other.
const float* Executor::read_question(const int32_t* ids, int count) {
  const Network& n = *network;
  const Kernels& k = *n.kernels;
  const int units = (int)n.file.network.hidden;
  const size_t row = (size_t)n.lstm_x.quads * 4;
  for (int w = 0; w < count; ++w) memcpy(words + row * (size_t)w, n.embedding + row * (size_t)ids[w], row);
  memset(cell, 0, (size_t)units * sizeof(float));
  if (n.file.real()) {
    read_real_question(count);
    multiply(k, n.question, hidden, 1, n.question.bias, -INFINITY, dense, 0);
    return dense;
  }
  const ptrdiff_t gates = (4 * units + kChannelPad - 1) / kChannelPad * kChannelPad;
  multiply(k, n.lstm_x, words, count, sums_x, gates);
  memset(state, 128 - k.storage_offset, (size_t)units);
  LstmCellArgs a = {units, z, nullptr, sums_h, n.lstm_x.scale, n.lstm_h.scale, n.lstm_x.bias, cell, hidden, state};
  for (int w = 0; w < count; ++w) {
    multiply(k, n.lstm_h, state, 1, sums_h, gates);
    a.x = sums_x + gates * w;
    k.lstm_cell(a);
  }
  multiply(k, n.question, state, 1, sums, 0);
  k.affine(n.question.outputs, sums, n.question.scale, 1.0f, n.question.bias, -INFINITY, dense);
  return dense;
}

// The words lie in `words`, and `cell` is 0.
void Executor::read_real_question(int count) {
  const Network& n = *network;
  const Kernels& k = *n.kernels;
  const int units = (int)n.file.network.hidden, gates = 4 * units;
  float *from_words = (float*)sums_x, *from_state = (float*)sums_h;
  multiply(k, n.lstm_x, words, count, zeros, -INFINITY, from_words, gates);
  memset(hidden, 0, (size_t)units * sizeof(float));
  LstmCellArgs a = {};
  a.hidden = units;
  a.z = z;
  a.cell = cell;
  a.h_out = hidden;
  for (int w = 0; w < count; ++w, from_words += gates) {
    multiply(k, n.lstm_h, hidden, 1, zeros, -INFINITY, from_state, 0);
    for (int j = 0; j < gates; ++j) z[j] = (from_words[j] + from_state[j]) + n.lstm_x.bias[j];
    k.lstm_cell(a);
  }
}

// Over all cells, less the zero point, in order.
float Executor::sum_of_cells(const uint8_t* f, uint32_t channel) const {
  const NetworkRecord& r = network->file.network;
  const int cells = (int)(r.cells * r.cells), offset = network->kernels->storage_offset;
  const size_t channels = r.channels;
  if (network->file.real()) {
    float sum = 0.0f;
    for (int i = 0; i < cells; ++i) sum = sum + ((const float*)f)[(size_t)i * channels + channel];
    return sum;
  }
  int32_t sum = 0;
  for (int i = 0; i < cells; ++i) {
    const uint8_t byte = f[(size_t)i * channels + channel];
    sum += (offset ? (int8_t)byte : byte) + offset - r.features_zero;
  }
  return (float)sum;
}

void Executor::pool_without_attention(const uint8_t* f, const float* scale, const float* shift) {
  const NetworkRecord& r = network->file.network;
  const int cells = (int)(r.cells * r.cells);
  const float mean = r.features_scale / (float)cells;
  for (uint32_t c = 0; c < r.channels; ++c) {
    const float v = (sum_of_cells(f, c) * mean) * scale[c] + shift[c];
    pooled[c] = v > 0.0f ? v : 0.0f;
  }
  for (int i = 0; i < cells; ++i) look[i] = 1.0f / (float)cells;
}

void Executor::answer(const uint8_t* f, const int32_t* ids, int count, float* logits, float* attention) {
  const Network& n = *network;
  const Kernels& k = *n.kernels;
  const NetworkRecord& r = n.file.network;
  const HeadRecord& h = n.file.head;
  const int cells = (int)(r.cells * r.cells), joint = (int)r.joint;
  const bool real = n.file.real();
  const float* scale = read_question(ids, count);
  const float* shift = scale + r.channels;
  float* asked = dense + 2 * r.channels;
  for (int j = 0; j < joint; ++j) asked[j] = asked[j] > 0.0f ? asked[j] : 0.0f;
  if (r.attention)
    k.attend({cells, (int)r.channels, (int)r.glimpses, real ? nullptr : f, real ? (const float*)f : nullptr,
              r.features_zero - k.storage_offset, r.features_scale, scale, shift, n.file.tensor<float>(h.score), n.file.tensor<float>(h.score_bias), modulated, weights, pooled, look});
  else
    pool_without_attention(f, scale, shift);
  if (attention) memcpy(attention, look, (size_t)cells * sizeof(float));
  if (!logits) return;
  if (real) {
    multiply(k, n.picture, pooled, 1, n.picture.bias, 0.0f, seen, 0);
  } else {
    const float back = k.quantize(n.file.pooled(), pooled, pooled_bytes);
    multiply(k, n.picture, pooled_bytes, 1, sums, 0);
    k.affine(joint, sums, n.picture.scale, back, n.picture.bias, 0.0f, seen);
  }
  k.answer(joint, (int)r.answers + 1, seen, asked, n.file.tensor<float>(h.answer), n.file.tensor<float>(h.answer_bias),
           logits);
}

}  // namespace evqa
