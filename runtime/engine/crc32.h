// CRC-32 (IEEE 802.3; zlib's crc32), with the processor's own instructions for it where it has them.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace evqa {

uint32_t crc32(const uint8_t* data, size_t size);

// The same with `plain` true: never the processor's instructions. For tests.
uint32_t crc32_with(bool plain, const uint8_t* data, size_t size);

bool crc32_has_instructions();

}  // namespace evqa
