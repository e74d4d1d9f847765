#include "jpeg.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "jpeg_rows.h"
#include "resample.h"

namespace evqa {
namespace {

// How many times smaller: as far as that leaves one and a half times the side each way. image.py says what that costs.
int scale_for(const JpegHeader& header, int side) {
  const int room = (3 * side + 1) / 2, across = header.width / room, down = header.height / room;
  const int most = across < down ? across : down;
  return most >= 8 ? 8 : most >= 4 ? 4 : most >= 2 ? 2 : 1;
}

// Makes side x side pixels upright. 5 to 8 swap rows and columns; of what is read, columns or rows may come from the end.
void turn(const uint8_t* in, int orientation, int side, uint8_t* out) {
  const bool transposed = orientation >= 5;
  const bool mirrored = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool upside_down = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x, out += 3) {
      const int column = transposed ? y : x, row = transposed ? x : y;
      const int u = mirrored ? side - 1 - column : column, v = upside_down ? side - 1 - row : row;
      memcpy(out, in + (static_cast<ptrdiff_t>(v) * side + u) * 3, 3);
    }
}

struct Resizing {
  JpegRows rows;
  Axis across, down;
  Ring ring;          // of rows after `across`
  uint32_t* row;      // a decoded row, of pixels of 4 bytes
  uint8_t* squeezed;  // the result before it is turned, where it is to be
  double* scratch;

  const char* run(const RowKernels& kernels, uint8_t* out);
};

// `stored` pixels that were `full` ones at `scale` times the size: the last may stand for less than the others.
Axis lay_out_axis(int stored, int full, int scale, int out, Carver* carver) {
  const int pairs = most_pairs(stored, out);
  const size_t outputs = static_cast<size_t>(out);
  Window* windows = carver->take<Window>(outputs);
  const double span = static_cast<double>(full) / scale;
  return {stored, out, span, pairs, windows, carver->take<int16_t>(outputs * static_cast<size_t>(pairs) * 4)};
}

void lay_out(const JpegHeader& header, int side, Carver* carver, Resizing* r) {
  const int scale = scale_for(header, side);
  r->rows.lay_out(header, scale, carver);
  const int width = r->rows.width, height = r->rows.height;
  r->across = lay_out_axis(width, header.width, scale, side, carver);
  r->down = lay_out_axis(height, header.height, scale, side, carver);
  const size_t outputs = static_cast<size_t>(side);
  r->ring.slots = most_taps(height, side);
  r->ring.pitch = (outputs * 3 + kRowSlack + Carver::kAlign - 1) / Carver::kAlign * Carver::kAlign;
  r->ring.bytes = carver->take<uint8_t>(static_cast<size_t>(r->ring.slots) * r->ring.pitch + kRowSlack);
  r->row = carver->take<uint32_t>(static_cast<size_t>(width) + kRowSlack / 4);
  r->squeezed = header.orientation == 1 ? nullptr : carver->take<uint8_t>(outputs * outputs * 3);
  const int longer = width > height ? width : height;
  r->scratch = carver->take<double>(static_cast<size_t>(most_taps(longer, side)));
}

const char* Resizing::run(const RowKernels& kernels, uint8_t* out) {
  const int side = across.out, bytes = side * 3;
  memset(row + across.in, 0, kRowSlack);
  for (int y = 0, read = 0; y < side; ++y) {
    const Window window = down.windows[y];
    for (; read < window.first + window.count; ++read) {
      if (const char* wrong = rows.read(read, row)) return wrong;
      uint8_t* slot = ring.bytes + static_cast<size_t>(read % ring.slots) * ring.pitch;
      kernels.across(across, reinterpret_cast<const uint8_t*>(row), 4, slot);
      memset(slot + bytes, 0, kRowSlack);
    }
    const int16_t* weights = down.weights + static_cast<ptrdiff_t>(y) * down.pairs * 4;
    kernels.down(ring, window, weights, bytes, out + static_cast<ptrdiff_t>(y) * bytes);
  }
  return nullptr;
}

const char* decode(const JpegHeader& header, Resizing* resizing, uint8_t* out) {
  if (!resizing->rows.start(header)) return "the JPEG's Huffman tables are damaged";
  fill_axis(resizing->across, resizing->scratch);
  fill_axis(resizing->down, resizing->scratch);
  int count;
  const RowKernels* const* all = row_kernels(&count);
  const bool upright = header.orientation == 1;
  const char* wrong = resizing->run(*all[count - 1], upright ? out : resizing->squeezed);
  if (!wrong && !upright) turn(resizing->squeezed, header.orientation, resizing->across.out, out);
  return wrong;
}

}  // namespace

evqa_status jpeg_pixels(const void* bytes, size_t size, int side, uint8_t* out) {
  JpegHeader header;
  if (const char* wrong = read_jpeg_header(static_cast<const uint8_t*>(bytes), size, &header)) {
    set_error("%s", wrong);
    return EVQA_ERROR_PICTURE;
  }
  Resizing resizing = {};
  Carver carver = {nullptr, 0};
  lay_out(header, side, &carver, &resizing);
  void* memory = malloc(carver.used + Carver::kAlign);
  if (!memory) {
    set_error("no memory for the JPEG (%zu bytes)", carver.used);
    return EVQA_ERROR_MEMORY;
  }
  const size_t start = (reinterpret_cast<size_t>(memory) + Carver::kAlign - 1) / Carver::kAlign * Carver::kAlign;
  carver = {reinterpret_cast<uint8_t*>(start), 0};
  lay_out(header, side, &carver, &resizing);
  const char* wrong = decode(header, &resizing, out);
  free(memory);
  if (!wrong) return EVQA_OK;
  set_error("%s", wrong);
  return EVQA_ERROR_PICTURE;
}

}  // namespace evqa
