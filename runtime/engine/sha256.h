// SHA-256 (FIPS 180-4), with the processor's own instructions for it where it has them.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace evqa {

void sha256(const uint8_t* data, size_t size, uint8_t out[32]);

// The same with `plain` true: never the processor's instructions. For tests.
void sha256_with(bool plain, const uint8_t* data, size_t size, uint8_t out[32]);

bool sha256_has_instructions();

}  // namespace evqa
