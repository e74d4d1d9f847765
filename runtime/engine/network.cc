#include "network.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "caches.h"
#include "error.h"
#include "strips.h"
#include "sums.h"

namespace evqa {
namespace {

constexpr int kSmallMap = 14;  // up to this side, a block goes through its channels in chunks

int padded(int n) { return (n + kChannelPad - 1) / kChannelPad * kChannelPad; }

struct Builder {
  Network& n;
  const Kernels& k;
  const Caches caches;

  int32_t* ints(const int32_t* from, int count) {
    int32_t* to = n.arena.array<int32_t>((size_t)padded(count));
    if (to && from) memcpy(to, from, (size_t)count * 4);
    return to;
  }

  float* floats(const float* from, int count) {
    float* to = n.arena.array<float>((size_t)padded(count));
    if (to && from) memcpy(to, from, (size_t)count * 4);
    return to;
  }

  // Packs rows of `columns` weights, cut into `runs` runs that are padded to whole quads.
  void* pack(ConvShape shape, int rows, const int8_t* weights, int columns) {
    const int row = shape.segments * shape.segment_quads * 4, run = columns / shape.segments;
    void* packed = n.arena.take(k.conv_packed_bytes(shape, rows));
    if (!packed) return nullptr;
    if (row == columns) {
      k.conv_pack(shape, rows, weights, packed);
      return packed;
    }
    int8_t* wide = (int8_t*)calloc((size_t)rows, (size_t)row);
    if (!wide) {
      n.arena.failed = true;
      return nullptr;
    }
    for (int r = 0; r < rows; ++r)
      for (int s = 0; s < shape.segments; ++s)
        memcpy(wide + (size_t)r * row + (size_t)s * shape.segment_quads * 4, weights + (size_t)r * columns + s * run,
               (size_t)run);
    k.conv_pack(shape, rows, wide, packed);
    free(wide);
    return packed;
  }

  // The same for float32, whose runs need no padding.
  void* pack(int rows, const float* weights, int columns) {
    float* packed = (float*)n.arena.take(n.conv_bytes({1, columns}, rows));
    if (packed) pack_floats(k.real->tile, rows, columns, weights, packed);
    return packed;
  }

  void real_layer(Layer& l, int chunk, int runs) {
    const LayerRecord& r = l.record;
    const int outputs = (int)r.outputs, inputs = (int)r.inputs;
    const float* w = n.file.tensor<float>(r.weights);
    l.real = {floats(n.file.tensor<float>(r.bias), outputs), r.low, r.high};
    if (!r.depthwise) {
      l.shape = r.kernel == 1 ? ConvShape{runs, inputs / runs} : ConvShape{3, 3 * inputs};
      l.packed = pack(outputs, w, (int)(r.kernel * r.kernel) * inputs);
      return;
    }
    float* to = n.arena.array<float>((size_t)outputs * 9);
    l.packed = to;
    for (int first = 0; to && first < outputs; first += chunk)
      for (int tap = 0; tap < 9; ++tap, to += chunk) memcpy(to, w + tap * outputs + first, (size_t)chunk * 4);
  }

  // `runs`: how many segments a 1x1 convolution's channels come in.
  void layer(int i, int chunk, int runs) {
    const LayerRecord& r = n.file.layers[i];
    Layer& l = n.layers[i];
    l.record = r;
    if (n.file.real()) return real_layer(l, chunk, runs);
    l.in_zero = r.in_zero - k.storage_offset;
    l.out_zero = r.out_zero - k.storage_offset;
    l.low = (int)r.low - k.storage_offset;
    l.high = (int)r.high - k.storage_offset;
    l.residual_zero = r.residual_zero - k.storage_offset;
    const int outputs = (int)r.outputs;
    const int8_t* w = n.file.tensor<int8_t>(r.weights);
    int32_t* bias = ints(n.file.tensor<int32_t>(r.bias), outputs);
    l.bias = bias;
    float* scale = floats(n.file.tensor<float>(r.scale), outputs);
    l.scale = scale;
    const int columns = (int)(r.kernel * r.kernel * r.inputs);
    if (bias && scale && r.depthwise) plain_constants(outputs, w, 9, 1, outputs, bias, scale);
    if (bias && scale && !r.depthwise && r.residual < 0) plain_constants(outputs, w, columns, columns, 1, bias, scale);
    if (r.depthwise) {
      depthwise(l, w, bias, chunk);
    } else {
      l.shape = r.kernel == 1 ? ConvShape{runs, ((int)r.inputs / runs + 3) / 4} : ConvShape{3, (3 * (int)r.inputs + 3) / 4};
      l.packed = pack(l.shape, outputs, w, columns);
      if (!bias || !l.packed) return;
      for (int c = 0; c < outputs; ++c) bias[c] -= l.in_zero * sum_of_weights<false>(w + (ptrdiff_t)c * columns, columns);
      prepare(l, outputs);
    }
  }

  void prepare(const Layer& l, int outputs) {
    ConvArgs a = {};
    a.shape = l.shape;
    a.channels = outputs;
    a.bias = l.bias;
    a.scale = l.scale;
    a.out_zero = l.out_zero;
    if (k.conv_prepare && l.scale) k.conv_prepare(a, (void*)l.packed);
  }

  void depthwise(Layer& l, const int8_t* w, int32_t* bias, int chunk) {
    const int channels = (int)l.record.outputs;
    const size_t bytes = k.depthwise_packed_bytes(chunk);
    l.packed = n.arena.take(bytes * (size_t)(channels / chunk));
    int8_t* some = n.arena.array<int8_t>((size_t)chunk * 9);
    if (!l.packed || !some || !bias) return;
    for (int first = 0; first < channels; first += chunk) {
      for (int tap = 0; tap < 9; ++tap) memcpy(some + tap * chunk, w + tap * channels + first, (size_t)chunk);
      k.depthwise_pack(chunk, some, (uint8_t*)l.packed + bytes * (size_t)(first / chunk));
    }
    for (int c = 0; c < channels; ++c) {
      int32_t sum = 0;
      for (int tap = 0; tap < 9; ++tap) sum += w[tap * channels + c];
      bias[c] -= l.in_zero * sum;
    }
    DepthwiseArgs a = {};
    a.channels = chunk;
    a.out_zero = l.out_zero;
    for (int first = 0; k.depthwise_prepare && l.scale && first < channels; first += chunk) {
      a.bias = l.bias + first;
      a.scale = l.scale + first;
      k.depthwise_prepare(a, (uint8_t*)l.packed + bytes * (size_t)(first / chunk));
    }
  }

  bool added_later(int layer) const {
    for (int i = layer + 1; i < n.file.layer_count; ++i)
      if (n.file.layers[i].residual == layer) return true;
    return false;
  }

  // The step that ends with this layer, -1 for none.
  int step_of(int layer) const {
    for (int s = 0; s < n.step_count; ++s)
      if (n.steps[s].first + n.steps[s].count - 1 == layer) return s;
    return -1;
  }

  // Groups the layers from `i` on into one step.
  Step step(int i) {
    const LayerRecord* r = n.file.layers + i;
    const int left = n.file.layer_count - i;
    const bool block = left >= 3 && !r[0].depthwise && r[0].residual < 0 && r[1].depthwise && !r[2].depthwise &&
                       r[2].kernel == 1 && r[2].stride == 1 && !added_later(i) && !added_later(i + 1);
    Step s = {};
    s.first = i;
    s.count = block ? 3 : 1;
    s.residual = step_of(r[s.count - 1].residual);
    s.last_use = n.step_count + 1;
    if (s.residual >= 0) n.steps[s.residual].last_use = n.step_count;
    s.mode = block ? Mode::kRows : r[0].depthwise ? Mode::kDepthwise : Mode::kConv;
    s.chunk = (int)(block ? r[1] : r[0]).outputs;
    if (block) {
      const Block b = {s.chunk, (int)r[1].in_side, (int)r[1].out_side, (int)r[1].stride, n.element};
      s.mode = b.side <= kSmallMap && r[0].kernel == 1 && r[0].stride == 1 ? Mode::kChunks : Mode::kRows;
      if (s.mode == Mode::kChunks) s.chunk = chunk_of(b, n.file.real() ? k.real->tile : k.conv_tile, caches.nearest);
      s.rows = s.mode == Mode::kChunks ? b.out_side : rows_of(b, caches);
    }
    s.pad_out = left > s.count && (r[s.count].kernel == 3 || r[s.count].depthwise);
    return s;
  }

  void steps() {
    for (int i = 0; i < n.file.layer_count;) {
      const Step s = step(i);
      n.steps[n.step_count++] = s;
      const int chunks = s.mode == Mode::kChunks ? (int)n.file.layers[i + 1].outputs / s.chunk : 1;
      for (int j = 0; j < s.count; ++j) layer(i + j, s.chunk, j == 2 ? chunks : 1);
      i += s.count;
    }
  }

  struct Matrix {
    uint64_t weights, scale, bias;
    int rows;
  };

  // Matrices of the same input, one below the other. What a stored byte s stands for is s + `shift`.
  Dense dense(const Matrix* matrices, int count, int columns, int shift) {
    const bool real = n.file.real();
    int rows = 0;
    for (int m = 0; m < count; ++m) rows += matrices[m].rows;
    Dense d = {rows, real ? columns : (columns + 3) / 4, nullptr, nullptr, nullptr, nullptr};
    float *scale = real ? nullptr : floats(nullptr, rows), *bias = floats(nullptr, rows);
    const size_t row = (size_t)columns * (real ? 4 : 1);
    uint8_t* all = (uint8_t*)malloc((size_t)rows * row);
    if (!all) n.arena.failed = true;
    if (n.arena.failed) {
      free(all);
      return d;
    }
    int at = 0;
    for (int m = 0; m < count; at += matrices[m++].rows) {
      const size_t height = (size_t)matrices[m].rows;
      memcpy(all + (size_t)at * row, n.file.tensor<uint8_t>(matrices[m].weights), height * row);
      memcpy(bias + at, n.file.tensor<float>(matrices[m].bias), height * 4);
      if (scale) memcpy(scale + at, n.file.tensor<float>(matrices[m].scale), height * 4);
    }
    d.scale = scale;
    d.bias = bias;
    if (real)
      d.packed = pack(rows, (const float*)all, columns);
    else
      pack_dense(&d, (const int8_t*)all, columns, shift);
    free(all);
    return d;
  }

  void pack_dense(Dense* d, const int8_t* weights, int columns, int shift) {
    int32_t* correction = ints(nullptr, d->outputs);
    for (int r = 0; correction && r < d->outputs; ++r)
      correction[r] = shift * sum_of_weights<false>(weights + (size_t)r * columns, columns);
    d->packed = pack({1, d->quads}, d->outputs, weights, columns);
    d->correction = correction;
  }

  void head() {
    const NetworkRecord& r = n.file.network;
    const HeadRecord& h = n.file.head;
    const int offset = k.storage_offset, hidden = (int)r.hidden, gates = 4 * hidden;
    const Matrix x = {h.lstm_x, h.lstm_x_scale, h.lstm_bias, gates}, state = {h.lstm_h, h.lstm_h_scale, h.lstm_bias, gates};
    const Matrix asked[3] = {{h.scale, h.scale_scale, h.scale_bias, (int)r.channels},
                             {h.shift, h.shift_scale, h.shift_bias, (int)r.channels},
                             {h.question, h.question_scale, h.question_bias, (int)r.joint}};
    const Matrix seen = {h.picture, h.picture_scale, h.picture_bias, (int)r.joint};
    n.lstm_x = dense(&x, 1, (int)r.embedding, offset - h.embedding_zero);
    n.lstm_h = dense(&state, 1, hidden, offset - 128);
    n.question = dense(asked, 3, hidden, offset - 128);
    n.picture = dense(&seen, 1, n.file.pooled(), offset);
    if (n.file.real()) {
      n.embedding = n.file.tensor<uint8_t>(h.embedding);
      return;
    }
    const size_t row = (size_t)n.lstm_x.quads * 4;
    uint8_t* table = n.arena.array<uint8_t>(r.words * row + 64);
    const uint8_t* from = n.file.tensor<uint8_t>(h.embedding);
    for (uint32_t w = 0; table && w < r.words; ++w)
      for (uint32_t i = 0; i < r.embedding; ++i) table[w * row + i] = (uint8_t)(from[w * r.embedding + i] - offset);
    n.embedding = table;
  }

  // Texts as C strings in one block, `out` points to each.
  char* lines(const Section& text, const char** out) {
    char* copy = n.arena.array<char>(text.size + 1);
    if (!copy) return nullptr;
    memcpy(copy, text.data, text.size);
    char* begin = copy;
    for (size_t i = 0; i < text.size; ++i)
      if (copy[i] == '\n') {
        copy[i] = 0;
        *out++ = begin;
        begin = copy + i + 1;
      }
    return copy;
  }

  evqa_status texts() {
    const NetworkRecord& r = n.file.network;
    n.answers = n.arena.array<const char*>(r.answers);
    char* about = n.arena.array<char>(n.file.about.size + 1);
    const char** words = n.arena.array<const char*>(r.words);
    Text* spans = n.arena.array<Text>(r.words);
    if (n.arena.failed || !lines(n.file.answers, n.answers) || !lines(n.file.words, words)) return EVQA_ERROR_MEMORY;
    memcpy(about, n.file.about.data, n.file.about.size);
    n.about = about;
    for (uint32_t i = 0; i + 2 < r.words; ++i) spans[i] = {words[i], strlen(words[i])};
    return n.vocabulary.build(spans, r.words - 2);
  }
};

}  // namespace

size_t Network::conv_bytes(ConvShape shape, int channels) const {
  if (!file.real()) return kernels->conv_packed_bytes(shape, channels);
  return packed_floats(kernels->real->tile, channels, shape.segments * shape.segment_quads) * sizeof(float);
}

size_t Network::depthwise_bytes(int channels) const {
  return file.real() ? (size_t)channels * 9 * sizeof(float) : kernels->depthwise_packed_bytes(channels);
}

evqa_status Network::build(const Kernels* kernels_) {
  kernels = kernels_;
  element = file.real() ? (int)sizeof(float) : 1;
  Builder builder = {*this, *kernels, caches()};
  builder.steps();
  builder.head();
  evqa_status s = builder.texts();
  if (arena.failed) s = EVQA_ERROR_MEMORY;
  if (s == EVQA_ERROR_MEMORY) set_error("out of memory while loading the model");
  return s;
}

void Network::give_back(Network* network) {
  if (!network || network->users.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  network->vocabulary.free();
  network->arena.release();
  if (network->mapping) munmap(network->mapping, network->mapping_size);
  free(network);
}

evqa_status choose_level(const Kernels** out) {
  int count;
  const Level* all = levels(&count);
  const char* wanted = getenv("EDGE_VQA_ISA");
  if (!wanted || !*wanted) {
    for (int i = 0; i < count; ++i)
      if (all[i].supported) *out = all[i].kernels;
    return EVQA_OK;
  }
  for (int i = 0; i < count; ++i) {
    if (strcmp(all[i].name, wanted)) continue;
    *out = all[i].kernels;
    if (all[i].supported) return EVQA_OK;
    set_error("EDGE_VQA_ISA=%.32s: this processor lacks it (it runs: %s)", wanted, evqa_levels());
    return EVQA_ERROR_ISA;
  }
  set_error("EDGE_VQA_ISA=%.32s: this build has no such level (this processor runs: %s)", wanted, evqa_levels());
  return EVQA_ERROR_ISA;
}

static evqa_status open_bytes(const void* bytes, size_t size, const char* name, void* mapping, Network** out) {
  const Kernels* kernels = nullptr;
  evqa_status s = choose_level(&kernels);
  Network* n = s ? nullptr : (Network*)calloc(1, sizeof(Network));
  if (!n) {
    if (!s) set_error("out of memory while loading the model");
    if (mapping) munmap(mapping, size);
    return s ? s : EVQA_ERROR_MEMORY;
  }
  n->users.store(1);
  n->mapping = mapping;
  n->mapping_size = size;
  s = n->file.read((const uint8_t*)bytes, size, name);
  if (!s) s = n->build(kernels);
  if (s)
    Network::give_back(n);
  else
    *out = n;
  return s;
}

evqa_status open_network(const char* path, Network** out) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  struct stat about;
  if (file < 0 || fstat(file, &about)) {
    set_error("%s: %s", path, strerror(errno));
    if (file >= 0) close(file);
    return EVQA_ERROR_FILE;
  }
  if (!S_ISREG(about.st_mode) || about.st_size <= 0) {
    set_error("%s: not a file with anything in it", path);
    close(file);
    return EVQA_ERROR_FILE;
  }
  void* mapping = mmap(nullptr, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
  close(file);
  if (mapping == MAP_FAILED) {
    set_error("%s: cannot be mapped: %s", path, strerror(errno));
    return EVQA_ERROR_FILE;
  }
  return open_bytes(mapping, (size_t)about.st_size, path, mapping, out);
}

evqa_status open_network_memory(const void* bytes, size_t size, Network** out) {
  return open_bytes(bytes, size, "the model", nullptr, out);
}

}  // namespace evqa
