#include "jpeg_header.h"

namespace evqa {
namespace {

constexpr int kUnusual = -1;
constexpr uint32_t kShort = 3, kLong = 4, kRational = 5, kUndefined = 7;
constexpr uint32_t kOrientation = 0x0112, kXResolution = 0x011A, kResolutionUnit = 0x0128;
constexpr uint32_t kPictures = 0xB001, kPictureList = 0xB002;  // of MPF; 16 bytes a picture

struct Tiff {
  const uint8_t* bytes;
  size_t size;
  bool big_endian;

  bool holds(size_t at, size_t count) const { return at <= size && count <= size - at; }

  uint32_t number(size_t at, int width) const {
    uint32_t value = 0;
    for (int i = 0; i < width; ++i) {
      const int place = big_endian ? i : width - 1 - i;
      value = value << 8 | bytes[at + static_cast<size_t>(place)];
    }
    return value;
  }
};

// Bytes of a value of this type; 0 for unknown ones.
uint32_t width_of(uint32_t type) {
  static constexpr uint8_t kWidths[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8};
  return type < sizeof kWidths ? kWidths[type] : 0;
}

// Whether the entry is sound. The resolution is looked at as readers may refuse a picture for it.
bool sound(const Tiff& tiff, size_t entry) {
  const uint32_t tag = tiff.number(entry, 2), type = tiff.number(entry + 2, 2), count = tiff.number(entry + 4, 4);
  const uint64_t bytes = static_cast<uint64_t>(width_of(type)) * count;
  if (bytes == 0 || bytes > tiff.size) return false;
  if (bytes > 4 && !tiff.holds(tiff.number(entry + 8, 4), static_cast<size_t>(bytes))) return false;
  if (tag == kXResolution) return type == kRational && count == 1;
  if (tag == kResolutionUnit || tag == kOrientation) return type == kShort && count == 1;
  return true;
}

// Where the first directory begins and how many entries it has, all of which lie in the structure. False: it has none.
bool find_directory(const Tiff& tiff, size_t* first, size_t* entries) {
  const uint8_t* bytes = tiff.bytes;
  const bool little = tiff.size >= 8 && bytes[0] == 'I' && bytes[1] == 'I';
  const bool big = tiff.size >= 8 && bytes[0] == 'M' && bytes[1] == 'M';
  if ((!little && !big) || tiff.number(2, 2) != 42) return false;
  const size_t directory = tiff.number(4, 4);
  if (directory < 8 || !tiff.holds(directory, 2)) return false;
  *first = directory + 2;
  *entries = tiff.number(directory, 2);
  return tiff.holds(*first, *entries * 12 + 4);
}

}  // namespace

int exif_orientation(const uint8_t* bytes, size_t size) {
  const Tiff tiff = {bytes, size, size > 0 && bytes[0] == 'M'};
  size_t first, entries;
  if (!find_directory(tiff, &first, &entries)) return kUnusual;
  int orientation = 0;
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = first + 12 * i;
    if (!sound(tiff, entry)) return kUnusual;
    if (tiff.number(entry, 2) != kOrientation) continue;
    if (orientation != 0) return kUnusual;
    const uint32_t value = tiff.number(entry + 8, 2);
    if (value < 1 || value > 8) return kUnusual;
    orientation = static_cast<int>(value);
  }
  return orientation;
}

bool mpf_is_sound(const uint8_t* bytes, size_t size) {
  const Tiff tiff = {bytes, size, size > 0 && bytes[0] == 'M'};
  size_t first, entries;
  if (!find_directory(tiff, &first, &entries)) return false;
  uint64_t pictures = 0, room = 0;
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = first + 12 * i;
    if (!sound(tiff, entry)) return false;
    const uint32_t tag = tiff.number(entry, 2), type = tiff.number(entry + 2, 2), count = tiff.number(entry + 4, 4);
    if (tag == kPictures) {
      if (pictures != 0 || type != kLong || count != 1) return false;
      pictures = tiff.number(entry + 8, 4);
    }
    if (tag == kPictureList) {
      if (room != 0 || type != kUndefined) return false;
      room = count;
    }
  }
  return pictures != 0 && room / 16 >= pictures;
}

}  // namespace evqa
