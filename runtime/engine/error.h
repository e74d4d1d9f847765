// The text behind evqa_error(): why this thread's last call failed.
#pragma once

#include <stddef.h>

namespace evqa {

inline constexpr size_t kErrorBytes = 512;  // with the closing zero; longer texts are cut between two characters

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
void set_error(const char* format, ...);  // the arguments may point into last_error()

const char* last_error();  // "" when there is none; stays valid until this thread's next set_error or clear_error
void clear_error();

}  // namespace evqa
