#include "model_file.h"

#include <math.h>
#include <string.h>

#include "crc32.h"
#include "error.h"
#include "sha256.h"
#include "sums.h"

namespace evqa {
namespace {

constexpr uint8_t kMagic[8] = {0x89, 'E', 'V', 'Q', 'A', '\r', '\n', '\n'};
constexpr size_t kDigest = 32, kHeaderBytes = 64, kSectionBytes = 24, kAlign = 64;
constexpr size_t kMostBytes = 256 << 20;
constexpr uint32_t kVersion = 2, kMostSections = 64;
constexpr uint64_t kMostMap = 1 << 26;  // values
constexpr double kMostRounded = 4194304.0;  // 2^22: kernels round by adding 1.5 * 2^23

template <class T>
T load(const uint8_t* p) {
  T value;
  memcpy(&value, p, sizeof value);
  return value;
}

// The sum of |w| over a depthwise channel's nine weights.
int32_t sum_of_taps(const int8_t* w, int step) {
  int32_t sum = 0;
  for (int i = 0; i < 9; ++i) sum += w[i * step] < 0 ? -w[i * step] : w[i * step];
  return sum;
}

struct Reader {
  ModelFile* file;
  const char* name;

  evqa_status fail(const char* what) const {
    set_error("%s: %s", name, what);
    return EVQA_ERROR_MODEL;
  }

  evqa_status fail_layer(int layer, const char* what) const {
    set_error("%s: convolution %d: %s", name, layer, what);
    return EVQA_ERROR_MODEL;
  }

  evqa_status check_header() const {
    const uint8_t* p = file->bytes;
    if (file->size > kMostBytes) return fail("larger than 256 MB");
    if (file->size < kHeaderBytes || memcmp(p, kMagic, sizeof kMagic)) return fail("not an .evqa file");
    if (load<uint32_t>(p + 8) != kVersion) {
      set_error("%s: format version %u; this release reads version %u", name, load<uint32_t>(p + 8), kVersion);
      return EVQA_ERROR_MODEL;
    }
    if (load<uint32_t>(p + 28)) return fail("the header is damaged");
    if (load<uint64_t>(p + 16) != file->size) return fail("truncated, or longer than it says");
    return check_sum(load<uint32_t>(p + 24));
  }

  // CRC-32 where it is stated: on a core without instructions for SHA-256, as in Raspberry Pi 3 and 4, that takes a tenth
  // as long.
  evqa_status check_sum(uint32_t stated) const {
    const uint8_t *digest = file->bytes + kDigest, *rest = file->bytes + kHeaderBytes;
    if (stated && crc32(digest, file->size - kDigest) != stated)
      return fail("damaged (its CRC-32 is not the one it states)");
    if (stated) return EVQA_OK;
    uint8_t sum[32];
    sha256(rest, file->size - kHeaderBytes, sum);
    return memcmp(sum, digest, sizeof sum) ? fail("damaged (its SHA-256 is not the one it states)") : EVQA_OK;
  }

  // The section called `tag`; false when it is absent, twice there, or lies outside the file.
  bool find(const char* tag, Section* out) const {
    const uint32_t count = load<uint32_t>(file->bytes + 12);
    if (count > kMostSections || kHeaderBytes + count * kSectionBytes > file->size) return false;
    bool found = false;
    for (uint32_t i = 0; i < count; ++i) {
      const uint8_t* entry = file->bytes + kHeaderBytes + i * kSectionBytes;
      if (memcmp(entry, tag, 4)) continue;
      const uint64_t offset = load<uint64_t>(entry + 8), size = load<uint64_t>(entry + 16);
      if (found || offset % kAlign || offset < kHeaderBytes + count * kSectionBytes || offset > file->size ||
          size > file->size - offset)
        return false;
      *out = {file->bytes + offset, (size_t)size};
      found = true;
    }
    return found;
  }

  // Whether `count` values of `each` bytes lie at `offset`, after the header. Counts are products of numbers below 2^16.
  bool holds(uint64_t offset, uint64_t count, size_t each) const {
    return offset % kAlign == 0 && offset >= kHeaderBytes && offset <= file->size &&
           count <= (file->size - offset) / each;
  }

  // The same for float32, all of them finite.
  bool holds_floats(uint64_t offset, uint64_t count) const {
    if (!holds(offset, count, 4)) return false;
    const float* v = file->tensor<float>(offset);
    for (uint64_t i = 0; i < count; ++i)
      if (!isfinite(v[i])) return false;
    return true;
  }

  evqa_status check_network() const {
    const NetworkRecord& n = file->network;
    auto within = [](uint32_t v, uint32_t most) { return v >= 1 && v <= most; };
    if (!within(n.side, 1024) || !within(n.cells, 64) || !within(n.channels, 4096) || !within(n.words, 65535) ||
        n.words < 2 || !within(n.answers, 4096) || n.attention > 1 || !within(n.embedding, 4096) ||
        !within(n.hidden, 4096) || !within(n.joint, 4096) || (n.attention ? !within(n.glimpses, 7) : n.glimpses != 0))
      return fail("a size of the network is out of range");
    if (!(n.temperature >= 0.01f && n.temperature <= 100.0f) || !(n.features_scale > 0.0f && n.features_scale < 1e6f) ||
        !(n.place_scale > 0.0f && n.place_scale < 1e6f) || n.features_zero < 0 || n.features_zero > 255 ||
        n.pixel_zero < 0 || n.pixel_zero > 255)
      return fail("a scale or zero point of the network is out of range");
    if (n.precision > kFloat32 || !(n.pixel_scale > 0.0f && n.pixel_scale < 1e6f) || n.zero)
      return fail("its precision is neither int8 nor float32");
    if (file->real() && (n.features_scale != 1.0f || n.features_zero || n.place_scale != 1.0f))
      return fail("float32 features with a scale or a zero point");
    return EVQA_OK;
  }

  evqa_status check_layer(int i) const {
    const LayerRecord& l = file->layers[i];
    const NetworkRecord& n = file->network;
    if (l.depthwise > 1 || (l.kernel != 1 && l.kernel != 3) || (l.stride != 1 && l.stride != 2) || l.inputs < 1 ||
        l.inputs > 4096 || l.outputs < 1 || l.outputs > 4096 || l.in_side < 1 || l.in_side > 1024 ||
        l.out_side != (l.in_side + l.stride - 1) / l.stride)
      return fail_layer(i, "a size is out of range");
    if (l.depthwise && (l.kernel != 3 || l.inputs != l.outputs)) return fail_layer(i, "not a depthwise shape");
    if (l.depthwise && l.residual >= 0) return fail_layer(i, "depthwise convolutions add nothing");
    const uint32_t inputs = i ? file->layers[i - 1].outputs : 3, in_side = i ? file->layers[i - 1].out_side : n.side;
    const int32_t in_zero = i ? file->layers[i - 1].out_zero : n.pixel_zero;
    if (l.inputs != inputs || l.in_side != in_side || l.in_zero != in_zero)
      return fail_layer(i, "does not take what the one before gives");
    if ((uint64_t)l.out_side * l.out_side * l.outputs > kMostMap) return fail_layer(i, "gives too large a map");
    if (l.out_zero < 0 || l.out_zero > 255 || !(l.out_scale > 0.0f && isfinite(l.out_scale)) || l.zero || !bounds(l))
      return fail_layer(i, "a zero point, scale or bound is out of range");
    if (file->real() && (l.out_zero || l.out_scale != 1.0f || (l.residual >= 0 && l.residual_scale != 1.0f)))
      return fail_layer(i, "float32 with a scale or a zero point");
    if (l.residual >= 0) {
      if (l.residual >= i) return fail_layer(i, "adds what is not there yet");
      const LayerRecord& r = file->layers[l.residual];
      if (r.outputs != l.outputs || r.out_side != l.out_side || l.residual_zero != r.out_zero ||
          !(l.residual_scale > 0.0f && l.residual_scale < 1e4f))
        return fail_layer(i, "what it adds does not fit");
    } else if (l.residual != -1) {
      return fail_layer(i, "adds what is not there yet");
    }
    return file->real() ? check_floats(i) : check_range(i);
  }

  bool bounds(const LayerRecord& l) const {
    if (file->real()) return isfinite(l.low) && isfinite(l.high) && l.low <= l.high;
    return l.low >= 0.0f && l.low <= l.high && l.high <= 255.0f && l.low == floorf(l.low) && l.high == floorf(l.high);
  }

  uint64_t taps(const LayerRecord& l) const { return (uint64_t)l.kernel * l.kernel * (l.depthwise ? 1 : l.inputs); }

  evqa_status check_floats(int i) const {
    const LayerRecord& l = file->layers[i];
    if (!holds_floats(l.weights, taps(l) * l.outputs) || !holds_floats(l.bias, l.outputs))
      return fail_layer(i, "a tensor lies outside the file, or is not finite");
    return EVQA_OK;
  }

  // Sums must fit int32, and scaled sums stay where float32 rounding to integers is exact.
  evqa_status check_range(int i) const {
    const LayerRecord& l = file->layers[i];
    const uint64_t taps = this->taps(l);
    if (!holds(l.weights, taps * l.outputs, 1) || !holds(l.bias, l.outputs, 4) || !holds_floats(l.scale, l.outputs))
      return fail_layer(i, "a tensor lies outside the file, or is not finite");
    const int8_t* w = file->tensor<int8_t>(l.weights);
    const int32_t* bias = file->tensor<int32_t>(l.bias);
    const float* scale = file->tensor<float>(l.scale);
    if (memchr(w, 0x80, (size_t)(taps * l.outputs))) return fail_layer(i, "a weight is -128");
    for (uint32_t c = 0; c < l.outputs; ++c) {
      const int32_t sum = l.depthwise ? sum_of_taps(w + c, (int)l.outputs) : sum_of_weights<true>(w + c * taps, (int)taps);
      const double most = 255.0 * sum + fabs((double)bias[c]);
      const double added = l.residual < 0 ? 0.0 : 255.0 * l.residual_scale;
      if (!(scale[c] > 0.0f) || most >= 1073741824.0 || most * scale[c] + added >= kMostRounded)
        return fail_layer(i, "its sums are too large for 32 bits");
    }
    return EVQA_OK;
  }

  evqa_status check_matrix(const char* what, uint64_t weights, uint64_t scale, uint64_t bias, uint64_t rows,
                           uint64_t columns) const {
    const uint64_t count = rows * columns;
    const bool fine = file->real() ? holds_floats(weights, count) : holds(weights, count, 1) && holds_floats(scale, rows);
    if (!fine || !holds_floats(bias, rows)) {
      set_error("%s: %s lies outside the file, or is not finite", name, what);
      return EVQA_ERROR_MODEL;
    }
    if (!file->real() && memchr(file->tensor<char>(weights), 0x80, (size_t)count)) {
      set_error("%s: %s: a weight is -128", name, what);
      return EVQA_ERROR_MODEL;
    }
    return EVQA_OK;
  }

  evqa_status check_head() const {
    const NetworkRecord& n = file->network;
    const HeadRecord& h = file->head;
    const uint64_t gates = 4ull * n.hidden, outputs = n.answers + 1ull, embedded = (uint64_t)n.words * n.embedding;
    if (h.embedding_zero < 0 || h.embedding_zero > (file->real() ? 0 : 255) ||
        !(file->real() ? holds_floats(h.embedding, embedded) : holds(h.embedding, embedded, 1)) ||
        !holds_floats(h.place, (uint64_t)n.cells * n.cells * n.channels) ||
        !holds_floats(h.answer, n.joint * outputs) || !holds_floats(h.answer_bias, outputs))
      return fail("a tensor of the head lies outside the file, or is not finite");
    const float* place = file->tensor<float>(h.place);
    for (uint64_t i = 0; !file->real() && i < (uint64_t)n.cells * n.cells * n.channels; ++i)
      if (fabs((double)place[i]) + 255.0 * n.place_scale >= kMostRounded) return fail("a position is too large");
    if (n.attention && (!holds_floats(h.score, (uint64_t)n.glimpses * n.channels) || !holds_floats(h.score_bias, n.glimpses)))
      return fail("the attention's scores lie outside the file, or are not finite");
    evqa_status s = check_matrix("lstm_x", h.lstm_x, h.lstm_x_scale, h.lstm_bias, gates, n.embedding);
    if (!s) s = check_matrix("lstm_h", h.lstm_h, h.lstm_h_scale, h.lstm_bias, gates, n.hidden);
    if (!s) s = check_matrix("scale", h.scale, h.scale_scale, h.scale_bias, n.channels, n.hidden);
    if (!s) s = check_matrix("shift", h.shift, h.shift_scale, h.shift_bias, n.channels, n.hidden);
    if (!s) s = check_matrix("question", h.question, h.question_scale, h.question_bias, n.joint, n.hidden);
    if (!s) s = check_matrix("picture", h.picture, h.picture_scale, h.picture_bias, n.joint, (uint64_t)file->pooled());
    return s;
  }

  bool has_lines(const Section& text, uint32_t count) const {
    uint32_t lines = 0;
    for (size_t i = 0; i < text.size; ++i) {
      const bool end = text.data[i] == '\n';
      if ((text.data[i] < ' ' && !end) || (end && (i == 0 || text.data[i - 1] == '\n'))) return false;
      lines += end;
    }
    return lines == count && (!text.size || text.data[text.size - 1] == '\n');
  }

  evqa_status read() const {
    if (evqa_status s = check_header()) return s;
    Section network = {}, layers = {}, head = {};
    if (!find("MODL", &network) || !find("CONV", &layers) || !find("HEAD", &head) || !find("ABOU", &file->about) ||
        !find("WORD", &file->words) || !find("ANSW", &file->answers))
      return fail("a section is missing, or lies outside the file");
    if (network.size != sizeof(NetworkRecord) || head.size != sizeof(HeadRecord) || !layers.size ||
        layers.size % sizeof(LayerRecord) || layers.size / sizeof(LayerRecord) > kMostLayers)
      return fail("a section has the wrong size");
    memcpy(&file->network, network.data, sizeof file->network);
    memcpy(&file->head, head.data, sizeof file->head);
    memcpy(file->layers, layers.data, layers.size);
    file->layer_count = (int)(layers.size / sizeof(LayerRecord));
    if (evqa_status s = check_network()) return s;
    for (int i = 0; i < file->layer_count; ++i)
      if (evqa_status s = check_layer(i)) return s;
    const LayerRecord& last = file->layers[file->layer_count - 1];
    if (last.outputs != file->network.channels || last.out_side != file->network.cells)
      return fail("the last convolution does not give the features");
    if (!has_lines(file->words, file->network.words - 2) || !has_lines(file->answers, file->network.answers))
      return fail("the words or answers do not match their count");
    return check_head();
  }
};

}  // namespace

evqa_status ModelFile::read(const uint8_t* bytes_, size_t size_, const char* name) {
  bytes = bytes_;
  size = size_;
  return Reader{this, name}.read();
}

}  // namespace evqa
