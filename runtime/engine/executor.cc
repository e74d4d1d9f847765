// The encoder. Every thread walks through all steps; a barrier parts one from the next. A step's work is cut by output
// rows, or, where maps are small, by channels and then by pixels.
#include "executor.h"

#include <string.h>
#include <time.h>

#include "error.h"
#include "strips.h"

namespace evqa {
namespace {

constexpr size_t kSlack = 256;  // kernels may read a little beyond a map

struct Range {
  int from, to;
};

// The part of `count` pieces of work that falls to a thread.
Range share(int count, int thread, int threads) { return {count * thread / threads, count * (thread + 1) / threads}; }

size_t map_bytes(int side, int pixel, int pad) {
  return (size_t)(side + 2 * pad) * (size_t)(side + 2 * pad) * (size_t)pixel + 2 * kSlack;
}

uint64_t now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

ConvArgs conv_args(const Layer& l) {
  ConvArgs a = {};
  a.shape = l.shape;
  a.packed = l.packed;
  a.channels = (int)l.record.outputs;
  a.bias = l.bias;
  a.scale = l.scale;
  a.out_zero = l.out_zero;
  a.low = l.low;
  a.high = l.high;
  a.residual_scale = l.record.residual_scale;
  a.residual_zero = l.residual_zero;
  a.real = l.real;
  return a;
}

DepthwiseArgs depthwise_args(const Layer& l, int channels, int pitch) {
  DepthwiseArgs a = {};
  a.channels = channels;
  a.pitch = pitch;
  a.stride = (int)l.record.stride;
  a.pixels = (int)l.record.out_side;
  a.packed = l.packed;
  a.bias = l.bias;
  a.scale = l.scale;
  a.out_zero = l.out_zero;
  a.low = l.low;
  a.high = l.high;
  a.real = l.real;
  return a;
}

// Makes a kernel begin at this channel of its outputs; what is packed is apart.
template <class Args>
void begin_at(Args& a, int channel) {
  if (a.bias) a.bias += channel, a.scale += channel;
  if (a.real.bias) a.real.bias += channel;
}

// Where row y of a convolution's output begins to read.
const uint8_t* window(const Layer& l, const Map& in, int y) {
  const int back = l.record.kernel == 3;
  return in.row(y * (int)l.record.stride - back) - back * in.pixel;
}

}  // namespace

void Executor::fill_border(const Map& m, int zero) {
  const size_t row = (size_t)m.pitch(), edge = (size_t)(m.pad * m.pixel);
  uint8_t* first = m.origin - m.pad * m.pitch() - (ptrdiff_t)edge;
  memset(first, zero, row * (size_t)m.pad);
  memset(first + (ptrdiff_t)row * (m.side + m.pad), zero, row * (size_t)m.pad);
  for (int y = 0; y < m.side; ++y) {
    memset(m.row(y) - edge, zero, edge);
    memset(m.row(y) + m.side * m.pixel, zero, edge);
  }
}

// Rows [from, to) of a convolution that is not depthwise; rows that lie without gaps are one call.
void Executor::convolve_rows(const Layer& l, const Map& in, const Map& out, const Map* residual, int from, int to) {
  if (from >= to) return;
  ConvArgs a = conv_args(l);
  const bool merged = l.record.kernel == 1 && l.record.stride == 1 && !in.pad && !out.pad && (!residual || !residual->pad);
  a.in_pixel = (ptrdiff_t)l.record.stride * in.pixel;
  a.in_segment = in.pitch();
  a.out_pixel = out.pixel;
  a.pixels = merged ? out.side * (to - from) : out.side;
  for (int y = from; y < to; y = merged ? to : y + 1) {
    a.in = window(l, in, y);
    a.out = out.row(y);
    a.residual = residual ? residual->row(y) : nullptr;
    network->conv(a);
  }
}

void Executor::run_conv(const Step& step, const Map& in, const Map& out, int thread) {
  const Layer& l = network->layers[step.first];
  const Map* residual = added(step);
  if (l.record.kernel == 1 && l.record.stride == 1 && !in.pad && !out.pad && !residual) {
    // A 1x1 convolution may be cut between any two pixels.
    const Range r = share(out.side * out.side, thread, pool.active);
    if (r.from >= r.to) return;
    ConvArgs a = conv_args(l);
    a.in = in.origin + (ptrdiff_t)r.from * in.pixel;
    a.in_pixel = in.pixel;
    a.pixels = r.to - r.from;
    a.out = out.origin + (ptrdiff_t)r.from * out.pixel;
    a.out_pixel = out.pixel;
    return network->conv(a);
  }
  const Range r = share(out.side, thread, pool.active);
  convolve_rows(l, in, out, residual, r.from, r.to);
}

void Executor::run_depthwise(const Step& step, const Map& in, const Map& out, int thread) {
  const Layer& l = network->layers[step.first];
  DepthwiseArgs a = depthwise_args(l, step.chunk, in.pixel);
  const Range r = share(out.side, thread, pool.active);
  a.out_rows = 1;
  for (int y = r.from; y < r.to; ++y) {
    for (int i = 0; i < 3; ++i) a.rows[i] = in.row(y * a.stride - 1 + i) - in.pixel;
    a.out[0] = out.row(y);
    network->depthwise(a);
  }
}

// Some rows are widened into a ring, filtered, and narrowed: the widened map never exists.
void Executor::run_rows(const Step& step, const Map& in, const Map& out, int thread) {
  const Layer &widen = network->layers[step.first], &filter = network->layers[step.first + 1],
              &narrow = network->layers[step.first + 2];
  const int side = (int)filter.record.in_side, stride = (int)filter.record.stride;
  const int channels = (int)filter.record.inputs, pixel = channels * network->element;
  const int kept = widened_rows(step.rows, stride);
  const ptrdiff_t pitch = (ptrdiff_t)(side + 2) * pixel, out_row = (ptrdiff_t)out.side * pixel;
  const Range r = share(out.side, thread, pool.active);
  uint8_t* ring = wide[thread];
  memset(border[thread], filter.in_zero, (size_t)pitch);
  for (int i = 0; i < kept; ++i) {
    memset(ring + i * pitch, filter.in_zero, (size_t)pixel);
    memset(ring + i * pitch + (side + 1) * pixel, filter.in_zero, (size_t)pixel);
  }
  ConvArgs w = conv_args(widen), n = conv_args(narrow);
  w.in_pixel = (ptrdiff_t)widen.record.stride * in.pixel;
  w.in_segment = in.pitch();
  w.pixels = side;
  w.out_pixel = pixel;
  DepthwiseArgs f = depthwise_args(filter, channels, pixel);
  n.in_pixel = pixel;
  n.out_pixel = out.pixel;
  const Map* residual = added(step);
  const bool apart = out.pad || (residual && residual->pad);  // rows with a border between them
  int widened = r.from * stride > 0 ? r.from * stride - 1 : 0;
  for (int y = r.from; y < r.to; y += step.rows) {
    const int count = r.to - y < step.rows ? r.to - y : step.rows, top = y * stride - 1;
    for (; widened < side && widened < top + widened_rows(count, stride); ++widened) {
      w.in = window(widen, in, widened);
      w.out = ring + (widened % kept) * pitch + pixel;
      network->conv(w);
    }
    for (int i = 0; i < count; i += f.out_rows) {
      f.out_rows = count - i < 2 ? 1 : 2;
      for (int k = 0; k < widened_rows(f.out_rows, stride); ++k) {
        const int row = top + i * stride + k;
        f.rows[k] = row < 0 || row >= side ? border[thread] : ring + (row % kept) * pitch;
      }
      for (int k = 0; k < 2; ++k) f.out[k] = rows[thread] + (i + k) * out_row;
      network->depthwise(f);
    }
    n.pixels = apart ? out.side : out.side * count;
    for (int i = 0; i < (apart ? count : 1); ++i) {
      n.in = rows[thread] + i * out_row;
      n.out = out.row(y + i);
      n.residual = residual ? residual->row(y + i) : nullptr;
      network->conv(n);
    }
  }
}

// Threads share the channels of the widened map, chunk by chunk, then the pixels of the narrowed one.
void Executor::run_chunks(const Step& step, const Map& in, const Map& out, int thread) {
  const Layer &widen = network->layers[step.first], &filter = network->layers[step.first + 1],
              &narrow = network->layers[step.first + 2];
  const int side = (int)filter.record.in_side, channels = (int)filter.record.inputs, stride = (int)filter.record.stride;
  const int chunk = step.chunk, pixel = chunk * network->element;
  const ptrdiff_t pixels_out = (ptrdiff_t)out.side * out.side;
  const Map wide_map = {wide[thread] + (ptrdiff_t)(side + 3) * pixel, side, pixel, 1};
  const size_t widen_bytes = network->conv_bytes(widen.shape, chunk), filter_bytes = network->depthwise_bytes(chunk);
  const Range r = share(channels / chunk, thread, pool.active);
  if (r.from < r.to) fill_border(wide_map, filter.in_zero);
  for (int c = r.from; c < r.to; ++c) {
    const int first = c * chunk;
    ConvArgs w = conv_args(widen);
    w.packed = (const uint8_t*)widen.packed + widen_bytes * (size_t)c;
    w.channels = chunk;
    begin_at(w, first);
    w.in_pixel = in.pixel;
    w.pixels = side;
    w.out_pixel = pixel;
    for (int y = 0; y < side; ++y) {
      w.in = in.row(y);
      w.out = wide_map.row(y);
      network->conv(w);
    }
    DepthwiseArgs f = depthwise_args(filter, chunk, pixel);
    f.packed = (const uint8_t*)filter.packed + filter_bytes * (size_t)c;
    begin_at(f, first);
    for (int y = 0; y < out.side; y += f.out_rows) {
      f.out_rows = out.side - y < 2 ? 1 : 2;
      for (int i = 0; i < widened_rows(f.out_rows, stride); ++i) f.rows[i] = wide_map.row(y * stride - 1 + i) - pixel;
      for (int i = 0; i < 2; ++i) f.out[i] = filtered + (pixels_out * c + (ptrdiff_t)(y + i) * out.side) * pixel;
      network->depthwise(f);
    }
  }
  pool.barrier();
  // The filtered chunks lie one behind the other: to the last convolution they are the segments of a pixel.
  ConvArgs n = conv_args(narrow);
  n.in_pixel = pixel;
  n.in_segment = pixels_out * pixel;
  n.out_pixel = out.pixel;
  const Map* residual = added(step);
  const bool apart = out.pad || (residual && residual->pad);
  const Range p = share(apart ? out.side : (int)pixels_out, thread, pool.active);
  n.pixels = apart ? out.side : p.to - p.from;
  for (int at = p.from; at < p.to; at = apart ? at + 1 : p.to) {
    const ptrdiff_t before = apart ? (ptrdiff_t)at * out.side : at;
    n.in = filtered + before * pixel;
    n.out = apart ? out.row(at) : out.origin + before * out.pixel;
    n.residual = !residual ? nullptr : apart ? residual->row(at) : residual->origin + before * out.pixel;
    network->conv(n);
  }
}

void Executor::copy_pixels(int thread) {
  const Range r = share(pixels.side, thread, pool.active);
  const int offset = network->kernels->storage_offset, bytes = pixels.side * 3;
  const int zero = network->file.network.pixel_zero;
  for (int y = r.from; y < r.to; ++y) {
    const uint8_t* from = given + y * given_stride;
    uint8_t* to = pixels.row(y);
    if (network->file.real())
      for (int i = 0; i < bytes; ++i) ((float*)to)[i] = (float)(from[i] - zero);
    else if (offset)
      for (int i = 0; i < bytes; ++i) to[i] = (uint8_t)(from[i] ^ 0x80);
    else
      memcpy(to, from, (size_t)bytes);
  }
}

// What each cell's position means is added to the last map.
void Executor::place() {
  const NetworkRecord& r = network->file.network;
  const int offset = network->kernels->storage_offset, count = (int)(r.cells * r.cells * r.channels);
  const uint8_t* seen = maps[network->step_count - 1].origin;
  const float* positions = network->file.tensor<float>(network->file.head.place);
  if (network->file.real())
    for (int i = 0; i < count; ++i) ((float*)features)[i] = ((const float*)seen)[i] + positions[i];
  else
    network->kernels->place(count, seen, network->layers[network->file.layer_count - 1].out_zero, r.place_scale, positions,
                            r.features_zero - offset, -offset, 255 - offset, features);
}

void Executor::run(int thread) {
  uint64_t began = profile && !thread ? now() : 0;
  int mark = 0;
  auto passed = [&] {
    pool.barrier();
    if (!profile || thread) return;
    const uint64_t ended = now();
    profile->nanoseconds[mark++] = ended - began;
    began = ended;
  };
  copy_pixels(thread);
  passed();
  const Map* in = &pixels;
  for (int s = 0; s < network->step_count; ++s) {
    const Step& step = network->steps[s];
    const Map& out = maps[s];
    if (out.pad && !thread) fill_border(out, network->layers[step.first + step.count - 1].out_zero);
    switch (step.mode) {
      case Mode::kConv: run_conv(step, *in, out, thread); break;
      case Mode::kDepthwise: run_depthwise(step, *in, out, thread); break;
      case Mode::kRows: run_rows(step, *in, out, thread); break;
      case Mode::kChunks: run_chunks(step, *in, out, thread); break;
    }
    passed();
    in = &out;
  }
  if (thread) return;
  place();
  if (profile) profile->nanoseconds[mark] = now() - began;
}

void Executor::encode(const uint8_t* rgb, ptrdiff_t stride, uint8_t* features_) {
  given = rgb;
  given_stride = stride;
  features = features_;
  pool.run([](void* self, int thread) { ((Executor*)self)->run(thread); }, this);
}

evqa_status Executor::create(const Network* network_, int threads) {
  network = network_;
  profile = nullptr;
  arena = Arena();
  if (!pool.create(threads)) {
    set_error("cannot make %d threads", threads);
    return EVQA_ERROR_MEMORY;
  }
  const evqa_status s = allocate();
  if (s) {
    set_error("out of memory");
    destroy();
  }
  return s;
}

void Executor::destroy() {
  pool.destroy();
  arena.release();
}

const Map* Executor::added(const Step& step) const { return step.residual < 0 ? nullptr : &maps[step.residual]; }

// Each step's output gets the first slot that nothing still needs.
bool Executor::plan_maps(size_t slot_bytes) {
  uint8_t* slots[kMostLayers];
  int free_from[kMostLayers], count = 0;
  for (int s = 0; s < network->step_count; ++s) {
    const Step& step = network->steps[s];
    int slot = 0;
    while (slot < count && free_from[slot] > s) ++slot;
    if (slot == count) slots[count++] = arena.array<uint8_t>(slot_bytes);
    if (!slots[slot]) return false;
    free_from[slot] = step.last_use + 1;
    const LayerRecord& last = network->layers[step.first + step.count - 1].record;
    Map& m = maps[s];
    m = {nullptr, (int)last.out_side, (int)last.outputs * network->element, step.pad_out};
    m.origin = slots[slot] + kSlack + m.pad * (m.pitch() + m.pixel);
  }
  return true;
}

evqa_status Executor::allocate() {
  const NetworkRecord& r = network->file.network;
  size_t map = 0, wide_bytes = 0, rows_bytes = 0, border_bytes = 0, filtered_bytes = 0;
  const int element = network->element;
  auto most = [](size_t& a, size_t b) { a = b > a ? b : a; };
  for (int s = 0; s < network->step_count; ++s) {
    const Step& step = network->steps[s];
    const LayerRecord& last = network->layers[step.first + step.count - 1].record;
    most(map, map_bytes((int)last.out_side, (int)last.outputs * element, step.pad_out));
    if (step.count != 3) continue;
    const LayerRecord& filter = network->layers[step.first + 1].record;
    const size_t row = (size_t)(filter.in_side + 2) * filter.inputs * (size_t)element;
    if (step.mode == Mode::kChunks) {
      most(wide_bytes, map_bytes((int)filter.in_side, step.chunk * element, 1));
      most(filtered_bytes, map_bytes((int)filter.out_side, (int)filter.outputs * element, 0));
    } else {
      most(wide_bytes, row * (size_t)widened_rows(step.rows, (int)filter.stride) + kSlack);
      most(rows_bytes, (size_t)filter.out_side * filter.outputs * (size_t)(step.rows * element) + kSlack);
      most(border_bytes, row + kSlack);
    }
  }
  filtered = arena.array<uint8_t>(filtered_bytes + kSlack);
  for (int t = 0; t < pool.threads; ++t) {
    wide[t] = arena.array<uint8_t>(wide_bytes + kSlack);
    rows[t] = arena.array<uint8_t>(rows_bytes + kSlack);
    border[t] = arena.array<uint8_t>(border_bytes + kSlack);
  }
  pixels = {nullptr, (int)r.side, 3 * element, 1};
  uint8_t* room = arena.array<uint8_t>(map_bytes((int)r.side, pixels.pixel, 1));
  const size_t cells = (size_t)r.cells * r.cells, gates = 4u * r.hidden, asked = 2u * r.channels + r.joint;
  sums_x = arena.array<int32_t>((gates + kChannelPad) * kMostWords);
  sums_h = arena.array<int32_t>(gates + kChannelPad);
  sums = arena.array<int32_t>(asked + kChannelPad);
  z = arena.array<float>(gates);
  cell = arena.array<float>(r.hidden);
  hidden = arena.array<float>(r.hidden);
  zeros = network->file.real() ? arena.array<float>(gates + kChannelPad) : nullptr;
  dense = arena.array<float>(asked);
  modulated = arena.array<float>(cells * r.channels);
  weights = arena.array<float>(cells * (r.glimpses + 1));
  pooled = arena.array<float>((size_t)network->file.pooled());
  look = arena.array<float>(cells);
  seen = arena.array<float>(r.joint);
  state = arena.array<uint8_t>(r.hidden + kSlack);
  words = arena.array<uint8_t>((size_t)network->lstm_x.quads * 4 * kMostWords + kSlack);
  pooled_bytes = arena.array<uint8_t>((size_t)network->file.pooled() + kSlack);
  if (!plan_maps(map) || arena.failed) return EVQA_ERROR_MEMORY;
  pixels.origin = room + kSlack + pixels.pitch() + pixels.pixel;
  fill_border(pixels, network->file.real() ? 0 : r.pixel_zero - network->kernels->storage_offset);
  return EVQA_OK;
}

}  // namespace evqa
