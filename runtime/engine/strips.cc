#include "strips.h"

namespace evqa {
namespace {

constexpr int kMostRows = 8;       // more saves nothing
constexpr int kMostChannels = 96;  // so that several threads have parts of like size

// Inputs, weights and outputs stream through the rest of a cache.
constexpr size_t room(size_t cache) { return cache / 4 * 3; }

size_t bytes(const Block& b, int pixels, int channels) {
  return static_cast<size_t>(pixels) * static_cast<size_t>(channels) * static_cast<size_t>(b.element);
}

size_t strip_bytes(const Block& b, int rows) {
  return bytes(b, widened_rows(rows, b.stride) * (b.side + 2) + rows * b.out_side, b.channels);
}

}  // namespace

int rows_of(const Block& b, const Caches& caches) {
  int rows = 2;
  const size_t most = room(strip_bytes(b, rows) <= room(caches.nearest) ? caches.nearest : caches.second);
  while (rows < kMostRows && rows < b.out_side && strip_bytes(b, rows + 2) <= most) rows += 2;
  return rows;
}

int chunk_of(const Block& b, int tile, size_t cache) {
  const int widened = (b.side + 2) * (b.side + 2);
  int chunk = b.channels;
  for (int channels = tile; channels <= kMostChannels; channels += tile)
    if (b.channels % channels == 0 && (chunk == b.channels || bytes(b, widened, channels) <= room(cache))) chunk = channels;
  return chunk;
}

}  // namespace evqa
