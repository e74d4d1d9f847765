#include "jpeg.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "jpeg_rows.h"
#include "resample.h"

namespace evqa {
namespace {

// How many times smaller: as Pillow's draft chooses.
int scale_for(const JpegHeader& header, int side) {
  const int across = header.width / side, down = header.height / side, most = across < down ? across : down;
  return most >= 8 ? 8 : most >= 4 ? 4 : most >= 2 ? 2 : 1;
}

// Rows of a picture that is stored turned: its rows and columns may be swapped, after each was mirrored or not.
struct Turn {
  bool transposed, mirrored, upside_down;

  explicit Turn(int orientation)
      : transposed(orientation >= 5),
        mirrored(orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8),
        upside_down(orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) {}
};

int16_t* weights_of(const Axis& axis, int x) { return axis.weights + static_cast<ptrdiff_t>(x) * axis.pairs * 4; }

// The axis of the same picture seen from its other end. The sums stay the same, bit for bit.
void mirror(const Axis& axis) {
  for (int x = 0; x < axis.out; ++x) {
    Window& window = axis.windows[x];
    window.first = axis.in - window.first - window.count;
    int16_t* weights = weights_of(axis, x);
    for (int t = 0, u = window.count - 1; t < u; ++t, --u)
      for (int part = 0; part < 4; part += 2) {
        int16_t &a = weights[t / 2 * 4 + t % 2 + part], &b = weights[u / 2 * 4 + u % 2 + part];
        const int16_t kept = a;
        a = b;
        b = kept;
      }
  }
}

struct Resizing {
  JpegRows rows;
  Axis across, down;  // along a stored row; from stored row to row
  Turn turn;
  Ring ring;      // of stored rows: when transposed as they are, else after `across`
  uint32_t* row;  // a stored row, of pixels of 4 bytes
  uint8_t* line;  // when transposed: a column of the result
  double* scratch;

  const char* run(const RowKernels& kernels, uint8_t* out);
};

Axis lay_out_axis(int in, int out, Carver* carver) {
  const int pairs = most_pairs(in, out);
  const size_t outputs = static_cast<size_t>(out);
  Window* windows = carver->take<Window>(outputs);
  return {in, out, pairs, windows, carver->take<int16_t>(outputs * static_cast<size_t>(pairs) * 4)};
}

void lay_out(const JpegHeader& header, int side, Carver* carver, Resizing* r) {
  r->rows.lay_out(header, scale_for(header, side), carver);
  const int width = r->rows.width, height = r->rows.height;
  r->across = lay_out_axis(width, side, carver);
  r->down = lay_out_axis(height, side, carver);
  const size_t pixels = static_cast<size_t>(width), outputs = static_cast<size_t>(side);
  const size_t ring_row = (r->turn.transposed ? pixels * 4 : outputs * 3) + kRowSlack;
  r->ring.slots = most_taps(height, side);
  r->ring.pitch = (ring_row + Carver::kAlign - 1) / Carver::kAlign * Carver::kAlign;
  r->ring.bytes = carver->take<uint8_t>(static_cast<size_t>(r->ring.slots) * r->ring.pitch + kRowSlack);
  r->row = carver->take<uint32_t>(pixels + kRowSlack / 4);
  r->line = carver->take<uint8_t>(outputs * 3 + kRowSlack);
  const int longer = width > height ? width : height;
  r->scratch = carver->take<double>(static_cast<size_t>(most_taps(longer, side)));
}

const char* Resizing::run(const RowKernels& kernels, uint8_t* out) {
  const int side = across.out, width = across.in;
  memset(row + width, 0, kRowSlack);
  for (int i = 0, read = 0; i < side; ++i) {
    const int place = turn.upside_down ? side - 1 - i : i;
    const Window window = down.windows[place];
    for (; read < window.first + window.count; ++read) {
      uint8_t* slot = ring.bytes + static_cast<size_t>(read % ring.slots) * ring.pitch;
      const size_t bytes = turn.transposed ? static_cast<size_t>(width) * 4 : static_cast<size_t>(side) * 3;
      if (const char* wrong = rows.read(read, turn.transposed ? reinterpret_cast<uint32_t*>(slot) : row)) return wrong;
      if (!turn.transposed) kernels.across(across, reinterpret_cast<const uint8_t*>(row), 4, slot);
      memset(slot + bytes, 0, kRowSlack);
    }
    if (turn.transposed) {
      uint8_t* column = reinterpret_cast<uint8_t*>(row);
      kernels.down(ring, window, weights_of(down, place), width * 4, column);
      kernels.across(across, column, 4, line);
      for (int y = 0; y < side; ++y) memcpy(out + (static_cast<ptrdiff_t>(y) * side + place) * 3, line + 3 * y, 3);
    } else {
      kernels.down(ring, window, weights_of(down, place), side * 3, out + static_cast<ptrdiff_t>(place) * side * 3);
    }
  }
  return nullptr;
}

const char* decode(const JpegHeader& header, Resizing* resizing, uint8_t* out) {
  if (!resizing->rows.start(header)) return "the JPEG's Huffman tables are damaged";
  fill_axis(resizing->across, resizing->scratch);
  fill_axis(resizing->down, resizing->scratch);
  if (resizing->turn.mirrored) mirror(resizing->across);
  if (resizing->turn.upside_down) mirror(resizing->down);
  int count;
  const RowKernels* const* all = row_kernels(&count);
  return resizing->run(*all[count - 1], out);
}

}  // namespace

evqa_status jpeg_pixels(const void* bytes, size_t size, int side, uint8_t* out) {
  JpegHeader header;
  if (const char* wrong = read_jpeg_header(static_cast<const uint8_t*>(bytes), size, &header)) {
    set_error("%s", wrong);
    return EVQA_ERROR_PICTURE;
  }
  Resizing resizing = {{}, {}, {}, Turn(header.orientation), {}, nullptr, nullptr, nullptr};
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
