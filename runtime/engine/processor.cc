// What evqa_levels and evqa_features_of_processor tell people.
#include <string.h>

#include <initializer_list>

#include "interface.h"
#include "../kernels/levels.h"

#if defined(__x86_64__)
#include "../kernels/x86/features.h"
#define EVQA_BASELINE "x86-64"
#elif defined(__aarch64__)
#define EVQA_BASELINE "aarch64 asimd"
#elif defined(__arm__)
#define EVQA_BASELINE "arm vfp"
#else
#define EVQA_BASELINE "scalar"
#endif

namespace evqa {
namespace {

char level_text[128], feature_text[256];

void append(char* text, size_t size, const char* word) {
  if (strlen(text) + strlen(word) + 2 > size) return;
  if (*text) strcat(text, " ");
  strcat(text, word);
}

void find_features(char (&text)[sizeof feature_text]) {
  append(text, sizeof text, EVQA_BASELINE);
#if defined(__x86_64__)
  for (const char* name : {"sse4.1", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni"})
    if (x86_has(name)) append(text, sizeof text, name);
#elif defined(__aarch64__)
  if (arm_has_dotprod()) append(text, sizeof text, "asimddp");
  if (arm_has_i8mm()) append(text, sizeof text, "i8mm");
#elif defined(__arm__)
  if (arm32_has_neon()) append(text, sizeof text, "neon");
#endif
}

void find_levels(char (&text)[sizeof level_text]) {
  int count;
  const Level* all = levels(&count);
  for (int i = count - 1; i >= 0; --i)
    if (all[i].supported) append(text, sizeof text, all[i].name);
}

}  // namespace
}  // namespace evqa

extern "C" {

// Threads that come here at the same time write the same bytes.
const char* evqa_levels(void) {
  char text[sizeof evqa::level_text] = "";
  evqa::find_levels(text);
  memcpy(evqa::level_text, text, sizeof text);
  return evqa::level_text;
}

const char* evqa_features_of_processor(void) {
  char text[sizeof evqa::feature_text] = "";
  evqa::find_features(text);
  memcpy(evqa::feature_text, text, sizeof text);
  return evqa::feature_text;
}

}  // extern "C"
