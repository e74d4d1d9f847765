// The C interface: checks its arguments, serialises callers, and turns failures into evqa_error().
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu_count.h"
#include "error.h"
#include "executor.h"
#include "image.h"
#include "jpeg.h"

#ifndef EVQA_VERSION
#define EVQA_VERSION "0.5.0"
#endif

using namespace evqa;

struct evqa_handle {
  Network* network;
  Executor executor;
  Resizer resizer;
  uint8_t* rgb;     // a resized picture
  float *logits, *look;
  pthread_mutex_t mutex;
};

struct evqa_scene {
  Network* network;
  uint8_t* features;  // stored form, or float32
  bool looked;
};

namespace {

evqa_status fail(evqa_status status, const char* what) {
  set_error("%s", what);
  return status;
}

struct Lock {
  pthread_mutex_t* mutex;
  explicit Lock(pthread_mutex_t* m) : mutex(m) { pthread_mutex_lock(m); }
  ~Lock() { pthread_mutex_unlock(mutex); }
};

// Takes over one count of `network`.
evqa_status make_handle(Network* network, int threads, evqa_handle** out) {
  const NetworkRecord& r = network->file.network;
  evqa_handle* h = (evqa_handle*)calloc(1, sizeof(evqa_handle));
  const size_t pixels = (size_t)r.side * r.side * 3;
  if (h) {
    h->rgb = (uint8_t*)malloc(pixels);
    h->logits = (float*)malloc((r.answers + 1) * sizeof(float));
    h->look = (float*)malloc((size_t)r.cells * r.cells * sizeof(float));
  }
  evqa_status s = EVQA_OK;
  if (!h || !h->rgb || !h->logits || !h->look) s = fail(EVQA_ERROR_MEMORY, "out of memory");
  if (!s) s = h->resizer.reserve((int)r.side);
  if (!s) s = h->executor.create(network, threads ? threads : default_threads());
  if (s) {
    if (h) h->resizer.free(), free(h->rgb), free(h->logits), free(h->look);
    free(h);
    Network::give_back(network);
    return s;
  }
  h->network = network;
  pthread_mutex_init(&h->mutex, nullptr);
  *out = h;
  return EVQA_OK;
}

size_t feature_bytes(const Network& n) {
  const NetworkRecord& r = n.file.network;
  return (size_t)r.cells * r.cells * r.channels * (size_t)n.element;
}

int64_t nanoseconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool bad_threads(int threads) {
  if (threads >= 0 && threads <= kMostThreads) return false;
  set_error("%d threads: give 1 to %d, or 0 to choose", threads, kMostThreads);
  return true;
}

// Whether side x side RGB pixels are none to ask for, or do not fit.
bool bad_square(int32_t side, size_t room) {
  if (side >= 1 && side <= 1024 && room >= (size_t)side * (size_t)side * 3) return false;
  set_error("the side must be 1 to 1024, with room for side * side * 3 bytes");
  return true;
}

evqa_status check(const evqa_handle* h, const evqa_scene* scene) {
  if (!h || !scene) return fail(EVQA_ERROR_ARGUMENT, "a null pointer was given");
  if (h->network != scene->network) return fail(EVQA_ERROR_ARGUMENT, "the scene belongs to another model");
  if (!scene->looked) return fail(EVQA_ERROR_ARGUMENT, "the scene has not been looked at: call evqa_look first");
  return EVQA_OK;
}

evqa_status encode_question(const evqa_handle* h, const char* question, EncodedQuestion* out) {
  if (!question) return fail(EVQA_ERROR_ARGUMENT, "a null pointer was given");
  return h->network->vocabulary.encode(question, strlen(question), out);
}

// The most probable answers, best first; a tie goes to the earlier one. `logits` become probabilities.
void rank(const Network& n, float* logits, evqa_answer* out) {
  const int answers = (int)n.file.network.answers;
  const float temperature = n.file.network.temperature;
  float peak = logits[0];
  for (int i = 1; i < answers; ++i) peak = fmaxf(peak, logits[i]);
  double total = 0;
  for (int i = 0; i < answers; ++i) total += logits[i] = expf((logits[i] - peak) / temperature);
  out->count = answers < EVQA_TOP ? answers : EVQA_TOP;
  for (int place = 0; place < out->count; ++place) {
    int best = -1;
    for (int i = 0; i < answers; ++i)
      if (logits[i] >= 0 && (best < 0 || logits[i] > logits[best])) best = i;
    if (best < 0) best = place;  // only where a model's numbers have run out of range
    out->top[place] = {n.answers[best], (float)(logits[best] / total), best};
    logits[best] = -1;
  }
}

// Whether the last logit, for "no answer", outweighs all others together.
bool refused(const float* logits, int answers) {
  double others = 0;
  for (int i = 0; i < answers; ++i) others += exp((double)logits[i] - logits[answers]);
  return others < 1.0;
}

}  // namespace

extern "C" {

evqa_status evqa_open(const char* path, int threads, evqa_handle** out) {
  clear_error();
  if (!path || !out) return fail(EVQA_ERROR_ARGUMENT, "a null pointer was given");
  if (bad_threads(threads)) return EVQA_ERROR_ARGUMENT;
  Network* network = nullptr;
  const evqa_status s = open_network(path, &network);
  return s ? s : make_handle(network, threads, out);
}

evqa_status evqa_open_memory(const void* bytes, size_t size, int threads, evqa_handle** out) {
  clear_error();
  if (!bytes || !out) return fail(EVQA_ERROR_ARGUMENT, "a null pointer was given");
  if ((size_t)bytes % 8) return fail(EVQA_ERROR_ARGUMENT, "the model's bytes must begin at a multiple of 8");
  if (bad_threads(threads)) return EVQA_ERROR_ARGUMENT;
  Network* network = nullptr;
  const evqa_status s = open_network_memory(bytes, size, &network);
  return s ? s : make_handle(network, threads, out);
}

evqa_status evqa_clone(evqa_handle* handle, int threads, evqa_handle** out) {
  clear_error();
  if (!handle || !out) return fail(EVQA_ERROR_ARGUMENT, "a null pointer was given");
  if (bad_threads(threads)) return EVQA_ERROR_ARGUMENT;
  handle->network->take();
  return make_handle(handle->network, threads, out);
}

void evqa_close(evqa_handle* h) {
  if (!h) return;
  h->executor.destroy();
  h->resizer.free();
  pthread_mutex_destroy(&h->mutex);
  Network::give_back(h->network);
  free(h->rgb);
  free(h->logits);
  free(h->look);
  free(h);
}

evqa_status evqa_describe(const evqa_handle* h, evqa_about* out) {
  clear_error();
  if (!h || !out) return fail(EVQA_ERROR_ARGUMENT, "a null pointer was given");
  const NetworkRecord& r = h->network->file.network;
  *out = {(int32_t)r.side, (int32_t)r.cells, (int32_t)r.words, (int32_t)r.answers, (int32_t)r.attention,
          h->executor.pool.threads, r.temperature, h->network->kernels->name, h->network->about};
  return EVQA_OK;
}

evqa_status evqa_scene_create(const evqa_handle* h, evqa_scene** out) {
  clear_error();
  if (!h || !out) return fail(EVQA_ERROR_ARGUMENT, "a null pointer was given");
  evqa_scene* scene = (evqa_scene*)calloc(1, sizeof(evqa_scene));
  uint8_t* features = (uint8_t*)calloc(feature_bytes(*h->network) + kChannelPad, 1);
  if (!scene || !features) {
    free(scene);
    free(features);
    return fail(EVQA_ERROR_MEMORY, "out of memory");
  }
  h->network->take();
  *scene = {h->network, features, false};
  *out = scene;
  return EVQA_OK;
}

void evqa_scene_free(evqa_scene* scene) {
  if (!scene) return;
  Network::give_back(scene->network);
  free(scene->features);
  free(scene);
}

evqa_status evqa_look(evqa_handle* h, const evqa_image* image, evqa_scene* scene) {
  clear_error();
  if (!h || !image || !scene) return fail(EVQA_ERROR_ARGUMENT, "a null pointer was given");
  if (h->network != scene->network) return fail(EVQA_ERROR_ARGUMENT, "the scene belongs to another model");
  const int side = (int)h->network->file.network.side;
  Lock lock(&h->mutex);
  scene->looked = false;
  const uint8_t* rgb = image->plane[0];
  ptrdiff_t stride = image->stride[0] ? image->stride[0] : (ptrdiff_t)3 * side;
  if (image->format != EVQA_RGB || image->width != side || image->height != side || !rgb || stride < 3 * side) {
    if (const evqa_status s = h->resizer.resize(*image, side, h->rgb)) return s;
    rgb = h->rgb;
    stride = 3 * side;
  }
  h->executor.encode(rgb, stride, scene->features);
  scene->looked = true;
  return EVQA_OK;
}

evqa_status evqa_look_jpeg(evqa_handle* h, const void* bytes, size_t size, evqa_scene* scene) {
  clear_error();
  if (!h || !bytes || !scene) return fail(EVQA_ERROR_ARGUMENT, "a null pointer was given");
  if (h->network != scene->network) return fail(EVQA_ERROR_ARGUMENT, "the scene belongs to another model");
  const int side = (int)h->network->file.network.side;
  Lock lock(&h->mutex);
  scene->looked = false;
  if (const evqa_status s = jpeg_pixels(bytes, size, side, h->rgb)) return s;
  h->executor.encode(h->rgb, (ptrdiff_t)3 * side, scene->features);
  scene->looked = true;
  return EVQA_OK;
}

evqa_status evqa_ask_words(evqa_handle* h, const evqa_scene* scene, const int32_t* ids, int32_t count, float* logits,
                           float* attention) {
  clear_error();
  if (const evqa_status s = check(h, scene)) return s;
  if (!ids) return fail(EVQA_ERROR_ARGUMENT, "a null pointer was given");
  if (count < 1 || count > kMostWords) {
    set_error("%d words: give 1 to %d", (int)count, kMostWords);
    return EVQA_ERROR_ARGUMENT;
  }
  const int32_t words = (int32_t)h->network->file.network.words;
  for (int i = 0; i < count; ++i)
    if (ids[i] < 0 || ids[i] >= words) {
      set_error("word id %d: the model has 0 to %d", (int)ids[i], (int)words - 1);
      return EVQA_ERROR_ARGUMENT;
    }
  Lock lock(&h->mutex);
  h->executor.answer(scene->features, ids, count, logits, attention);
  return EVQA_OK;
}

evqa_status evqa_ask(evqa_handle* h, const evqa_scene* scene, const char* question, evqa_answer* out) {
  clear_error();
  if (const evqa_status s = check(h, scene)) return s;
  if (!out) return fail(EVQA_ERROR_ARGUMENT, "a null pointer was given");
  EncodedQuestion encoded;
  if (const evqa_status s = encode_question(h, question, &encoded)) return s;
  Lock lock(&h->mutex);
  h->executor.answer(scene->features, encoded.ids, encoded.count, h->logits, h->look);
  memset(out, 0, sizeof *out);
  out->unknown_words = encoded.unknown;
  out->understood = encoded.understood && !refused(h->logits, (int)h->network->file.network.answers);
  rank(*h->network, h->logits, out);
  return EVQA_OK;
}

evqa_status evqa_attention(evqa_handle* h, const evqa_scene* scene, const char* question, float* attention) {
  clear_error();
  if (const evqa_status s = check(h, scene)) return s;
  if (!attention) return fail(EVQA_ERROR_ARGUMENT, "a null pointer was given");
  EncodedQuestion encoded;
  if (const evqa_status s = encode_question(h, question, &encoded)) return s;
  Lock lock(&h->mutex);
  h->executor.answer(scene->features, encoded.ids, encoded.count, nullptr, attention);
  return EVQA_OK;
}

evqa_status evqa_features(const evqa_handle* h, const evqa_scene* scene, uint8_t* out, size_t size) {
  clear_error();
  if (const evqa_status s = check(h, scene)) return s;
  const size_t bytes = feature_bytes(*h->network);
  if (!out || size < bytes) {
    set_error("the features need %zu bytes", bytes);
    return EVQA_ERROR_ARGUMENT;
  }
  const int offset = h->network->file.real() ? 0 : h->network->kernels->storage_offset;
  for (size_t i = 0; i < bytes; ++i) out[i] = (uint8_t)(scene->features[i] + offset);
  return EVQA_OK;
}

evqa_status evqa_resize(const evqa_image* image, int32_t side, uint8_t* out, size_t size) {
  clear_error();
  if (!image || !out) return fail(EVQA_ERROR_ARGUMENT, "a null pointer was given");
  if (bad_square(side, size)) return EVQA_ERROR_ARGUMENT;
  Resizer resizer = {};
  const evqa_status s = resizer.resize(*image, side, out);
  resizer.free();
  return s;
}

evqa_status evqa_jpeg_pixels(const void* bytes, size_t size, int32_t side, uint8_t* out, size_t out_size) {
  clear_error();
  if (!bytes || !out) return fail(EVQA_ERROR_ARGUMENT, "a null pointer was given");
  if (bad_square(side, out_size)) return EVQA_ERROR_ARGUMENT;
  return jpeg_pixels(bytes, size, side, out);
}

evqa_status evqa_profile_look(evqa_handle* h, const uint8_t* rgb, evqa_scene* scene, evqa_step* steps, int32_t most,
                              int32_t* count) {
  clear_error();
  if (!h || !rgb || !scene || !steps || !count || h->network != scene->network)
    return fail(EVQA_ERROR_ARGUMENT, "a null pointer, or the scene of another model, was given");
  const Network& n = *h->network;
  if (most < n.step_count + 2) return fail(EVQA_ERROR_ARGUMENT, "too little room for the steps");
  static const char* const kModes[] = {"convolution", "depthwise", "block by rows", "block by channels"};
  Lock lock(&h->mutex);
  Profile profile = {};
  h->executor.profile = &profile;
  h->executor.encode(rgb, (ptrdiff_t)3 * n.file.network.side, scene->features);
  h->executor.profile = nullptr;
  scene->looked = true;
  memset(steps, 0, sizeof *steps * (size_t)(n.step_count + 2));
  steps[0].name = "pixels";
  steps[n.step_count + 1].name = "positions";
  for (int i = 0; i < n.step_count + 2; ++i) steps[i].nanoseconds = (int64_t)profile.nanoseconds[i];
  for (int i = 0; i < n.step_count; ++i) {
    const Step& s = n.steps[i];
    steps[i + 1].name = kModes[(int)s.mode];
    steps[i + 1].first_layer = s.first;
    steps[i + 1].layers = s.count;
    for (int j = 0; j < s.count; ++j) {
      const LayerRecord& l = n.layers[s.first + j].record;
      const int64_t taps = (int64_t)l.kernel * l.kernel * (l.depthwise ? 1 : l.inputs);
      steps[i + 1].macs += taps * l.outputs * l.out_side * l.out_side;
    }
  }
  *count = n.step_count + 2;
  return EVQA_OK;
}

double evqa_rate(const evqa_handle* h) {
  clear_error();
  constexpr int kOutputs = 48, kQuads = 120, kRounds = 40, kCalls = 50;
  const ConvShape shape = {1, kQuads};
  Arena arena;
  if (!h) return 0;
  const Network& n = *h->network;
  const int pixels = n.file.real() ? 28 : 8;  // whole tiles
  ConvArgs a = {};
  a.shape = shape;
  a.in_pixel = kQuads * 4;
  a.pixels = pixels;
  a.channels = kOutputs;
  a.out_pixel = kOutputs * n.element;
  a.in = arena.array<uint8_t>((size_t)pixels * kQuads * 4 + kChannelPad);
  a.packed = arena.take(n.conv_bytes(shape, kOutputs));
  a.bias = arena.array<int32_t>(kChannelPad);
  a.scale = arena.array<float>(kChannelPad);
  a.real = {a.scale, 0.0f, 127.0f};
  a.out = arena.array<uint8_t>((size_t)pixels * (size_t)a.out_pixel + kChannelPad);
  a.high = 127;
  int64_t least = INT64_MAX;
  if (!arena.failed) {
    for (int round = 0; round < kRounds; ++round) {
      const int64_t began = nanoseconds();
      for (int i = 0; i < kCalls; ++i) n.conv(a);
      const int64_t took = nanoseconds() - began;
      least = took < least ? took : least;
    }
  }
  arena.release();
  const double macs = (double)pixels * kOutputs * kQuads * (4 / n.element) * kCalls;
  return least == INT64_MAX ? 0 : macs * 1e9 / (double)(least ? least : 1);
}

const char* evqa_error(void) { return last_error(); }
const char* evqa_version(void) { return EVQA_VERSION; }
int evqa_interface(void) { return EVQA_INTERFACE; }
int evqa_default_threads(void) { return default_threads(); }

}  // extern "C"
