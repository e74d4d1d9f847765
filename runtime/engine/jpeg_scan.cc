#include "jpeg_scan.h"

namespace evqa {
namespace {

constexpr uint8_t kZigzag[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
                                 41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
                                 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

// Entry of the next code and number, their value, and the reader behind them. 0: there is no such code.
inline uint32_t next_number(BitReader& reader, const HuffmanTable& table, int32_t* value) {
  uint32_t entry = table.entries[reader.bits >> (64 - HuffmanTable::kPeekBits)];
  *value = static_cast<int32_t>(entry) >> 16;
  if ((entry & kNotInPeek) || !(entry & 0xFF)) {
    if (!(entry & 0xFF)) entry = long_code(table, reader.bits);
    const int size = static_cast<int>(entry >> 16), total = static_cast<int>(entry & 0xFF);
    if (size) {
      const int32_t bits = static_cast<int32_t>(reader.bits << (total - size) >> (64 - size));
      *value = bits >> (size - 1) ? bits : bits - (1 << size) + 1;
    }
  }
  reader.drop(static_cast<int>(entry & 0xFF));
  return entry;
}

// The block's first coefficient, quantisation undone. `wide` gathers what is too large.
inline int32_t first_coefficient(BitReader& reader, JpegPlane& plane, uint32_t* wide) {
  int32_t difference;
  reader.refill();
  if (!next_number(reader, *plane.dc, &difference)) *wide = kWideCoefficient;
  plane.last += difference;
  const uint32_t product = static_cast<uint32_t>(plane.last) * plane.quant[0];
  *wide |= magnitude(plane.last) | magnitude(static_cast<int32_t>(product));
  return static_cast<int32_t>(product);
}

// Reads over the other coefficients. False: they are damaged.
inline bool skip_coefficients(BitReader& reader, const JpegPlane& plane) {
  uint32_t k = 1;
  while (k < 64) {
    if (reader.count < 32) reader.refill();
    const uint32_t several = plane.skip->entries[reader.bits >> (64 - SkipTable::kPeekBits)];
    const uint32_t after = k + (several >> 8 & 63);
    if ((several & 0xFF) && after <= 64 && !(several >> 15 && after == 64)) {
      reader.drop(static_cast<int>(several & 0xFF));
      if (several >> 15) return true;
      k = after;
      continue;
    }
    int32_t value;
    const uint32_t entry = next_number(reader, *plane.ac, &value);
    if (!entry) return false;
    if ((entry >> 8 & 0x7F) == kEndOfBlock) return true;
    k += entry >> 8 & 0x7F;
  }
  return k == 64;
}

inline bool read_coefficients(BitReader& reader, const JpegPlane& plane, int16_t* block, uint32_t* wide) {
  uint32_t k = 1;
  while (k < 64) {
    int32_t value;
    if (reader.count < 32) reader.refill();
    const uint32_t entry = next_number(reader, *plane.ac, &value), on = entry >> 8 & 0x7F;
    if (!entry) return false;
    if (on == kEndOfBlock) return true;
    k += on;
    if (k > 64) return false;
    value *= plane.quant[k - 1];
    *wide |= magnitude(value);
    block[kZigzag[k - 1]] = static_cast<int16_t>(value);
  }
  return true;
}

// One block to its samples. False: it is damaged, or nothing that every library decodes alike.
inline bool read_block(BitReader& reader, JpegPlane& plane, uint8_t* out) {
  uint32_t wide = 0;
  const int32_t first = first_coefficient(reader, plane, &wide);
  if (plane.size == 1) return skip_coefficients(reader, plane) && !((wide & kWideCoefficient) | idct_1(first, out));
  alignas(32) int16_t block[64] = {static_cast<int16_t>(first)};
  if (!read_coefficients(reader, plane, block, &wide) || (wide & kWideCoefficient)) return false;
  const Idct idct = plane.size == 2 ? idct_2 : plane.size == 4 ? idct_4 : idct_8;
  return !idct(block, out, plane.stride);
}

bool begin_interval(JpegScan* scan, BitReader& reader) {
  if (scan->restart == 0) return true;
  if (scan->until_restart == 0) {
    if (!reader.restart(scan->restarts++ % 8)) return false;
    for (JpegPlane& plane : scan->planes) plane.last = 0;
    scan->until_restart = scan->restart;
  }
  --scan->until_restart;
  return true;
}

bool read_mcu(JpegScan* scan, BitReader& reader, int x) {
  for (int i = 0; i < scan->components; ++i) {
    JpegPlane& plane = scan->planes[i];
    for (int b = 0; b < plane.down; ++b) {
      uint8_t* out = plane.row((scan->done * plane.down + b) * plane.size) + x * plane.across * plane.size;
      for (int a = 0; a < plane.across; ++a)
        if (!read_block(reader, plane, out + a * plane.size)) return false;
    }
  }
  return true;
}

// Whether the picture's end follows, as it must.
bool ends(const BitReader& reader) { return reader.at_marker() && reader.at[1] == 0xD9; }

}  // namespace

const char* JpegScan::next_row() {
  static constexpr char kDamaged[] = "the JPEG is damaged";
  BitReader local = reader;
  for (int x = 0; x < mcus_across; ++x)
    if (!begin_interval(this, local) || !read_mcu(this, local, x)) return kDamaged;
  reader = local;
  ++done;
  if (reader.overrun() || (done == mcus_down && !ends(reader))) return kDamaged;
  return nullptr;
}

}  // namespace evqa
