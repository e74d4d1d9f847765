// What evqa_levels and evqa_features_of_processor tell people.
#include <string.h>

#include "interface.h"
#include "../kernels/levels.h"

#if defined(__x86_64__)
#define EVQA_BASELINE "x86-64"
#elif defined(__aarch64__)
#define EVQA_BASELINE "aarch64 asimd"
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
  __builtin_cpu_init();
#define EVQA_FEATURE(name) \
  if (__builtin_cpu_supports(name)) append(text, sizeof text, name)
  EVQA_FEATURE("sse4.1");
  EVQA_FEATURE("avx");
  EVQA_FEATURE("avx2");
  EVQA_FEATURE("fma");
  EVQA_FEATURE("avx512f");
  EVQA_FEATURE("avx512bw");
  EVQA_FEATURE("avx512dq");
  EVQA_FEATURE("avx512vl");
  EVQA_FEATURE("avx512vnni");
#undef EVQA_FEATURE
#elif defined(__aarch64__)
  if (arm_has_dotprod()) append(text, sizeof text, "asimddp");
  if (arm_has_i8mm()) append(text, sizeof text, "i8mm");
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
