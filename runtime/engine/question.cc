#include "question.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

namespace evqa {
namespace {

#include "unicode_table.inc"

constexpr char kOtherDigit = 2;                      // a digit without an ASCII form
constexpr uint32_t kAscending = 128, kTexts0 = 256;  // see unicode_table.inc
constexpr int32_t kUnknown = 1, kFirstId = 2;
constexpr size_t kShortestRepaired = 4;  // shorter words have too many neighbours

// Ways of typing and regional words, replaced before the vocabulary is asked: _SPELLINGS of edge_vqa/question.py.
constexpr struct {
  char typed[6], meant[12];
} kSpellings[] = {
    {"ko", "khong"},   {"kg", "khong"}, {"kh", "khong"}, {"k", "khong"}, {"hok", "khong"},    {"hem", "khong"},
    {"khum", "khong"}, {"j", "gi"},     {"gj", "gi"},    {"z", "vay"},   {"bn", "bao nhieu"}, {"nhiu", "nhieu"},
    {"fai", "phai"},   {"hinh", "anh"}, {"my", "mi"},    {"lon", "heo"}, {"cari", "ca ri"},
};

// The next code point of [p, end), or null when the bytes are not UTF-8 (overlong forms and surrogates are not).
const uint8_t* decode(const uint8_t* p, const uint8_t* end, uint32_t* code) {
  const uint32_t first = *p++;
  if (first < 0x80) {
    *code = first;
    return p;
  }
  const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  if (first < 0xC2 || first > 0xF4 || end - p < more) return nullptr;
  uint32_t value = first & (0x3Fu >> more);
  for (int i = 0; i < more; ++i, ++p) {
    if ((*p & 0xC0) != 0x80) return nullptr;
    value = value << 6 | (*p & 0x3Fu);
  }
  if (more == 2 && (value < 0x800 || (value >= 0xD800 && value < 0xE000))) return nullptr;
  if (more == 3 && (value < 0x10000 || value > 0x10FFFF)) return nullptr;
  *code = value;
  return p;
}

// What a character becomes: accentless lower case, other letters and digits, spaces for all that parts words.
struct Plain {
  char one[2];
  const char* text;  // ended by a zero; null: it is `one`
};

Plain to_plain(uint32_t code) {
  size_t low = 0, high = sizeof kRuns / sizeof kRuns[0];  // the last run that begins at `code` or before
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    if (kRuns[middle] >> 11 <= code) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const uint32_t value = kRuns[low] & 2047;
  if (value >= kTexts0) return {{}, kTexts[value - kTexts0]};
  if (value >= kAscending) return {{static_cast<char>(value - kAscending + (code - (kRuns[low] >> 11)))}, nullptr};
  return {{static_cast<char>(value)}, nullptr};
}

// A word that is cut where it is too long to be known anyway.
struct Letters {
  char text[kLongestWord + 2];
  size_t size;  // also of what was cut

  void push(char c) {
    if (size < sizeof text) text[size] = c;
    ++size;
  }
};

// A word as typed, and what _undo_input_method makes of it, letter by letter.
struct Word {
  Letters typed, without_digits, without_telex;
  bool has_digits, doubled;

  void clear() {
    typed.size = without_digits.size = without_telex.size = 0;
    has_digits = doubled = false;
  }

  void push(char c) {
    const bool digit = (c >= '0' && c <= '9') || c == kOtherDigit;
    has_digits |= digit;
    if (!digit) without_digits.push(c);
    // 'aa', 'ee', 'oo', 'dd' are one letter, pair by pair from the left; 'w' is none.
    doubled = !doubled && typed.size > 0 && c == last && (c == 'a' || c == 'e' || c == 'o' || c == 'd');
    if (!doubled && c != 'w') {
      without_telex.push(c);
      telex_end = c;
    }
    typed.push(c);
    last = c;
  }

  // Tones of Telex are a last letter.
  Text meant() const {
    if (has_digits) return {without_digits.text, without_digits.size};
    size_t size = without_telex.size;
    if (size > 1 && memchr("sfrxj", telex_end, 5)) --size;
    return {without_telex.text, size};
  }

  char last, telex_end;  // letters of typed and without_telex, once they have one
};

// One letter added or dropped, or two neighbours swapped; a changed letter does not count.
bool one_slip_apart(const char* a, size_t a_size, const char* b, size_t b_size) {
  if (a_size > b_size) return one_slip_apart(b, b_size, a, a_size);
  if (b_size - a_size > 1) return false;
  size_t start = 0;
  while (start < a_size && a[start] == b[start]) ++start;
  if (a_size < b_size) return memcmp(a + start, b + start + 1, a_size - start) == 0;
  return start + 1 < a_size && a[start] == b[start + 1] && a[start + 1] == b[start] &&
         memcmp(a + start + 2, b + start + 2, a_size - start - 2) == 0;
}

// The id of the only word of four letters or more that is one slip away, or -1.
int32_t find_near(const Vocabulary& vocabulary, const Letters& word) {
  if (word.size < kShortestRepaired || word.size > kLongestWord + 1) return -1;
  int32_t near = -1;
  for (uint32_t i = 0; i < vocabulary.count; ++i) {
    const Text& known = vocabulary.words[i];
    if (known.size < kShortestRepaired || known.size + 1 < word.size || word.size + 1 < known.size) continue;
    if (!one_slip_apart(word.text, word.size, known.data, known.size)) continue;
    if (near >= 0) return -1;
    near = static_cast<int32_t>(i) + kFirstId;
  }
  return near;
}

// Collects words until there are kQuestionWords.
struct Reader {
  const Vocabulary& vocabulary;
  EncodedQuestion* out;
  Word word;

  bool full() const { return out->count == kQuestionWords; }

  void add(const Word& added) {
    if (full()) return;
    int32_t id = vocabulary.find(added.typed.text, added.typed.size);
    if (id < 0) {
      const Text meant = added.meant();
      id = vocabulary.find(meant.data, meant.size);
    }
    if (id < 0) id = find_near(vocabulary, added.typed);
    if (id < 0) {
      ++out->unknown;
      id = kUnknown;
    }
    out->ids[out->count++] = id;
  }

  void add_all(const char* words) {
    Word part;
    part.clear();
    for (; *words != '\0'; ++words) {
      if (*words != ' ') {
        part.push(*words);
        continue;
      }
      add(part);
      part.clear();
    }
    add(part);
  }

  void end_word() {
    if (word.typed.size == 0) return;
    const char* meant = nullptr;
    for (const auto& spelling : kSpellings) {
      const size_t size = strlen(spelling.typed);
      if (size == word.typed.size && memcmp(spelling.typed, word.typed.text, size) == 0) meant = spelling.meant;
    }
    if (meant) {
      add_all(meant);
    } else {
      add(word);
    }
    word.clear();
  }

  void push(char c) {
    if (c == ' ') {
      end_word();
    } else {
      word.push(c);
    }
  }

  void push(const Plain& plain) {
    if (plain.text) {
      for (const char* c = plain.text; *c != '\0'; ++c) push(*c);
    } else if (plain.one[0] != '\0') {
      push(plain.one[0]);
    }
  }
};

evqa_status check_characters(const uint8_t* begin, const uint8_t* end) {
  int characters = 0;
  uint32_t code;
  for (const uint8_t* p = begin; p != end;) {
    const uint8_t* next = decode(p, end, &code);
    if (!next) {
      set_error("the question is not UTF-8 (byte %zu of it)", static_cast<size_t>(p - begin) + 1);
      return EVQA_ERROR_QUESTION;
    }
    if (++characters > kQuestionCharacters) {
      set_error("the question is too long; at most %d characters are read", kQuestionCharacters);
      return EVQA_ERROR_QUESTION;
    }
    p = next;
  }
  return EVQA_OK;
}

uint32_t hash(const char* word, size_t size) {  // FNV-1a
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < size; ++i) h = (h ^ static_cast<uint8_t>(word[i])) * 16777619u;
  return h ^ h >> 15;
}

bool is_ascii(const Text& word) {
  for (size_t i = 0; i < word.size; ++i) {
    if (word.data[i] < 0x20 || word.data[i] > 0x7E) return false;
  }
  return true;
}

}  // namespace

evqa_status Vocabulary::build(const Text* source, uint32_t source_count) {
  *this = {};
  constexpr uint32_t kMost = 1u << 24;
  if (source_count > kMost) {
    set_error("the vocabulary has %u words; at most %u are read", source_count, kMost);
    return EVQA_ERROR_MODEL;
  }
  uint32_t slot_count = 4;
  while (slot_count < 2 * source_count) slot_count *= 2;
  void* memory = calloc(1, source_count * sizeof(Text) + slot_count * sizeof(uint32_t));
  if (!memory) {
    set_error("no memory for a vocabulary of %u words", source_count);
    return EVQA_ERROR_MEMORY;
  }
  words = static_cast<Text*>(memory);
  slots = reinterpret_cast<uint32_t*>(words + source_count);
  slot_mask = slot_count - 1;
  for (; count < source_count; ++count) {
    const Text& word = source[count];
    const char* wrong = word.size > kLongestWord          ? "too long"
                        : !is_ascii(word)                 ? "not plain ASCII"
                        : find(word.data, word.size) >= 0 ? "there twice"
                                                          : nullptr;
    if (wrong) {
      set_error("word %u of the vocabulary is %s", count + 1, wrong);
      free();
      return EVQA_ERROR_MODEL;
    }
    words[count] = word;
    uint32_t slot = hash(word.data, word.size) & slot_mask;
    while (slots[slot]) slot = (slot + 1) & slot_mask;
    slots[slot] = count + 1;
  }
  return EVQA_OK;
}

void Vocabulary::free() {
  ::free(words);
  *this = {};
}

int32_t Vocabulary::find(const char* word, size_t size) const {
  if (!slots || size > kLongestWord) return -1;
  for (uint32_t slot = hash(word, size) & slot_mask; slots[slot]; slot = (slot + 1) & slot_mask) {
    const Text& known = words[slots[slot] - 1];
    if (known.size == size && (size == 0 || memcmp(known.data, word, size) == 0)) {
      return static_cast<int32_t>(slots[slot] - 1) + kFirstId;
    }
  }
  return -1;
}

evqa_status Vocabulary::encode(const char* question, size_t size, EncodedQuestion* out) const {
  if (!question || !out) {
    set_error("the question is a null pointer");
    return EVQA_ERROR_ARGUMENT;
  }
  const uint8_t* p = reinterpret_cast<const uint8_t*>(question);
  const uint8_t* end = p + size;
  if (const evqa_status status = check_characters(p, end)) return status;
  EncodedQuestion encoded = {};
  Reader reader = {*this, &encoded, {}};
  reader.word.clear();
  while (p != end && !reader.full()) {
    uint32_t code;
    p = decode(p, end, &code);
    reader.push(to_plain(code));
  }
  reader.end_word();
  if (encoded.count == 0) {
    set_error("the question is empty");
    return EVQA_ERROR_QUESTION;
  }
  encoded.understood = encoded.unknown * 2 < encoded.count;
  *out = encoded;
  return EVQA_OK;
}

}  // namespace evqa
