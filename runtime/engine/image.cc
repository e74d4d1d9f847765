#include "image.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

namespace evqa {
namespace {

constexpr size_t kAlign = 64;

size_t round_up(size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

// Bytes of a row of a plane of `format`; 0 where it has no such plane.
ptrdiff_t row_bytes(int32_t format, int plane, int32_t width) {
  const ptrdiff_t w = width;
  if (plane == 1) return format == EVQA_NV12 ? (w + 1) / 2 * 2 : 0;
  switch (format) {
    case EVQA_RGB:
    case EVQA_BGR:
      return 3 * w;
    case EVQA_YUYV:
      return 2 * w;
    default:
      return w;
  }
}

ptrdiff_t stride_of(const evqa_image& image, int plane) {
  return image.stride[plane] ? image.stride[plane] : row_bytes(image.format, plane, image.width);
}

evqa_status check_plane(const evqa_image& image, int plane) {
  const ptrdiff_t row = row_bytes(image.format, plane, image.width), stride = stride_of(image, plane);
  if (row == 0) return EVQA_OK;
  if (!image.plane[plane]) {
    set_error("plane %d of the picture is a null pointer", plane);
    return EVQA_ERROR_ARGUMENT;
  }
  if (stride < row) {
    set_error("the stride of plane %d is %td bytes, but a row has %td", plane, stride, row);
    return EVQA_ERROR_ARGUMENT;
  }
  if (stride > PTRDIFF_MAX / image.height) {
    set_error("the stride of plane %d, %td bytes, is too large", plane, stride);
    return EVQA_ERROR_ARGUMENT;
  }
  return EVQA_OK;
}

// The parts of a Resizer's memory. Sizes are those that the largest picture needs.
struct Parts {
  Window* windows[2];   // [side], of the axes across and down
  int16_t* weights[2];  // [side][most_pairs][4]
  uint8_t* ring;
  size_t pitch;
  uint8_t* row;     // [kMostPixels][4], then slack: a picture's row where it cannot be read in place
  double* scratch;  // of fill_axis
};

// Returns the bytes that the parts take in all.
size_t lay_out(int side, uint8_t* memory, Parts* parts) {
  const size_t outputs = static_cast<size_t>(side), taps = static_cast<size_t>(most_taps(kMostPixels, side));
  const size_t weights = outputs * static_cast<size_t>(most_pairs(kMostPixels, side)) * 4 * sizeof(int16_t);
  size_t used = 0;
  const auto take = [&](size_t bytes) {
    uint8_t* part = memory ? memory + used : nullptr;
    used += round_up(bytes);
    return part;
  };
  for (int i = 0; i < 2; ++i) {
    parts->windows[i] = reinterpret_cast<Window*>(take(outputs * sizeof(Window)));
    parts->weights[i] = reinterpret_cast<int16_t*>(take(weights));
  }
  parts->pitch = round_up(outputs * 3 + kRowSlack);
  parts->ring = take(taps * parts->pitch + kRowSlack);
  parts->row = take(static_cast<size_t>(kMostPixels) * 4 + kRowSlack);
  parts->scratch = reinterpret_cast<double*>(take(taps * sizeof(double)));
  return used;
}

void grey_to_rgb(const uint8_t* grey, int width, uint8_t* out) {
  uint32_t* pixels = reinterpret_cast<uint32_t*>(out);
  for (int x = 0; x < width; ++x) pixels[x] = grey[x] * 0x01010101u;
}

// Gives the picture's rows, `side` pixels of RGB (of EVQA_BGR: BGR) each.
struct RowReader {
  const evqa_image& image;
  const RowKernels& kernels;
  Axis across;   // in == out: rows stay as they are
  uint8_t* row;  // Parts::row

  // A row of pixels of *step bytes, readable for kRowSlack bytes more.
  const uint8_t* pixels(int y, int* step) const {
    const uint8_t* in = image.plane[0] + y * stride_of(image, 0);
    const size_t bytes = static_cast<size_t>(row_bytes(image.format, 0, image.width));
    const int width = image.width;
    *step = 4;
    switch (image.format) {
      case EVQA_GREY:
        grey_to_rgb(in, width, row);
        break;
      case EVQA_NV12:
        kernels.nv12(in, image.plane[1] + y / 2 * stride_of(image, 1), width, row);
        break;
      case EVQA_YUYV:
        kernels.yuyv(in, width, row);
        break;
      default:
        *step = 3;
        // The rows below are the picture's own bytes; below the last ones there may be nothing.
        if ((image.height - 1 - y) * stride_of(image, 0) >= kRowSlack) return in;
        memcpy(row, in, bytes);
    }
    memset(row + static_cast<ptrdiff_t>(width) * *step, 0, kRowSlack);
    return row;
  }

  // Writes the row and kRowSlack zeros, so that sums over whole registers never take up what was not written.
  void read(int y, uint8_t* out) const {
    int step;
    const uint8_t* in = pixels(y, &step);
    if (across.in != across.out) {
      kernels.across(across, in, step, out);
    } else if (step == 3) {
      memcpy(out, in, static_cast<size_t>(across.out) * 3);
    } else {
      for (int x = 0; x < across.out; ++x) memcpy(out + 3 * x, in + 4 * x, 3);
    }
    memset(out + static_cast<ptrdiff_t>(across.out) * 3, 0, kRowSlack);
  }
};

void swap_red_and_blue(uint8_t* pixels, int count) {
  for (int x = 0; x < count; ++x) {
    const uint8_t first = pixels[3 * x];
    pixels[3 * x] = pixels[3 * x + 2];
    pixels[3 * x + 2] = first;
  }
}

}  // namespace

evqa_status check_image(const evqa_image& image) {
  if (image.format < EVQA_RGB || image.format > EVQA_YUYV) {
    set_error("%d is no format of pictures (EVQA_RGB, ...)", static_cast<int>(image.format));
    return EVQA_ERROR_ARGUMENT;
  }
  if (image.width < 1 || image.height < 1 || image.width > kMostPixels || image.height > kMostPixels) {
    set_error("the picture is %d x %d pixels; 1 to %d each way are read", static_cast<int>(image.width),
              static_cast<int>(image.height), kMostPixels);
    return EVQA_ERROR_ARGUMENT;
  }
  if (image.format == EVQA_YUYV && image.width % 2 != 0) {
    set_error("a YUYV picture must have an even width, not %d", static_cast<int>(image.width));
    return EVQA_ERROR_ARGUMENT;
  }
  const evqa_status first = check_plane(image, 0);
  return first ? first : check_plane(image, 1);
}

evqa_status Resizer::reserve(int wanted) {
  if (wanted < 1 || wanted > kMostSide) {
    set_error("a picture cannot be resized to %d x %d pixels; 1 to %d are possible", wanted, wanted, kMostSide);
    return EVQA_ERROR_ARGUMENT;
  }
  if (memory && side == wanted) return EVQA_OK;
  free();
  Parts parts;
  const size_t bytes = lay_out(wanted, nullptr, &parts);
  memory = malloc(bytes + kAlign);
  if (!memory) {
    set_error("no memory for resizing pictures (%zu bytes)", bytes);
    return EVQA_ERROR_MEMORY;
  }
  side = wanted;
  return EVQA_OK;
}

void Resizer::free() {
  ::free(memory);
  memory = nullptr;
  side = width = height = 0;
}

evqa_status Resizer::resize(const evqa_image& image, int wanted, uint8_t* out) {
  if (const evqa_status status = check_image(image)) return status;
  if (!out) {
    set_error("there is nowhere to put the resized picture: a null pointer");
    return EVQA_ERROR_ARGUMENT;
  }
  if (const evqa_status status = reserve(wanted)) return status;
  Parts parts;
  lay_out(side, reinterpret_cast<uint8_t*>(round_up(reinterpret_cast<size_t>(memory))), &parts);
  const Axis across = {image.width, side, static_cast<double>(image.width), most_pairs(image.width, side), parts.windows[0], parts.weights[0]};
  const Axis down = {image.height, side, static_cast<double>(image.height), most_pairs(image.height, side), parts.windows[1], parts.weights[1]};
  if (width != image.width) fill_axis(across, parts.scratch);
  if (height != image.height) fill_axis(down, parts.scratch);
  width = image.width;
  height = image.height;

  int count;
  const RowKernels* const* all = row_kernels(&count);
  const RowReader reader = {image, kernels ? *kernels : *all[count - 1], across, parts.row};
  const Ring ring = {parts.ring, most_taps(height, side), parts.pitch};
  const auto slot = [&](int y) { return ring.bytes + static_cast<size_t>(y % ring.slots) * ring.pitch; };
  const size_t out_row = static_cast<size_t>(side) * 3;
  for (int y = 0, read = 0; y < side; ++y, out += out_row) {
    if (height == side) {
      reader.read(y, slot(0));
      memcpy(out, slot(0), out_row);
    } else {
      const Window window = down.windows[y];
      for (; read < window.first + window.count; ++read) reader.read(read, slot(read));
      const int16_t* weights = down.weights + static_cast<size_t>(y) * static_cast<size_t>(down.pairs) * 4;
      reader.kernels.down(ring, window, weights, static_cast<int>(out_row), out);
    }
    if (image.format == EVQA_BGR) swap_red_and_blue(out, side);
  }
  return EVQA_OK;
}

}  // namespace evqa
