#include "lib/patterns/statistics.h"

#include "lib/support/files.h"
#include "semdns/format/patterns.h"

#include <algorithm>

namespace semdns::patterns {

namespace {

void put(std::string &out, uint64_t value) {
  for (; value >= 128; value >>= 7)
    out += char(value | 128);
  out += char(value);
}

struct In {
  std::string_view bytes;
  size_t at = 0;
  bool good = true;

  uint64_t get(uint64_t limit) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at == bytes.size())
        break;
      const auto byte = static_cast<unsigned char>(bytes[at++]);
      value |= uint64_t(byte & 127) << shift;
      if (byte < 128) {
        // One way to write a number: no empty last byte, nothing beyond 64 bits.
        if ((byte == 0 && shift) || (shift == 63 && byte > 1) || value > limit)
          break;
        return value;
      }
    }
    good = false;
    return 0;
  }
};

} // namespace

std::string buildStatistics(const Statistics &s) {
  std::string out;
  put(out, s.mass);
  put(out, s.backgroundMass);
  put(out, s.grams.size());
  for (const auto &level : s.grams)
    put(out, level.size());
  for (const std::string &word : s.words) {
    put(out, word.size());
    out += word;
  }
  for (size_t n = 0; n < s.grams.size(); ++n) {
    uint32_t prefix = 0, word = 0;
    for (const auto &g : s.grams[n]) {
      if (n) {
        put(out, g.prefix - prefix);
        put(out, g.prefix == prefix ? g.word - word : g.word);
        prefix = g.prefix;
        word = g.word;
      }
      put(out, g.count);
      if (g.count) {
        put(out, g.count - g.documents);
        put(out, g.documents - g.owners);
        put(out, g.background);
      }
    }
  }
  return out;
}

bool parseStatistics(std::string_view bytes, Statistics &s, std::string &error) {
  In in{bytes};
  const auto fail = [&](const char *what) {
    error = "STAT: byte " + std::to_string(in.at) + ": " + what;
    return false;
  };
  s = {};
  s.mass = in.get(UINT64_MAX);
  s.backgroundMass = in.get(UINT64_MAX);
  const uint64_t levels = in.get(SEMDNS_PATS_MAX_WORDS);
  if (!in.good || levels < 1)
    return fail("the head is damaged");
  s.grams.resize(levels);
  std::vector<uint64_t> counts(levels);
  for (uint64_t &count : counts) {
    count = in.get(bytes.size()); // each takes a byte at least
    if (!in.good)
      return fail("more n-grams than bytes");
  }
  for (uint64_t i = 0; i < counts[0]; ++i) {
    const uint64_t size = in.get(SEMDNS_PATS_MAX_TEXT);
    if (!in.good || size < 1 || size > bytes.size() - in.at)
      return fail("a word has no text, or reaches beyond the section");
    const std::string_view word = bytes.substr(in.at, size);
    in.at += size;
    if (firstInvalidUtf8(word) || word.find('\0') != word.npos || word.find(' ') != word.npos)
      return fail("a word is not UTF-8, or not one word");
    if (!s.words.empty() && s.words.back() >= word)
      return fail("the words are not sorted");
    s.words.emplace_back(word);
  }
  for (uint64_t n = 0; n < levels; ++n) {
    const uint64_t prefixes = n ? s.grams[n - 1].size() : 0;
    uint64_t prefix = 0, word = 0;
    for (uint64_t i = 0; i < counts[n]; ++i) {
      Statistics::Gram g;
      if (n == 0) {
        g.word = uint32_t(i);
      } else {
        const uint64_t step = in.get(UINT32_MAX);
        const uint64_t next = in.get(UINT32_MAX);
        if (in.good && i && step == 0 && next == 0)
          return fail("the same n-gram twice");
        prefix += step;
        word = step == 0 ? word + next : next;
        if (!in.good || prefix >= prefixes || word >= s.words.size())
          return fail("an n-gram begins or ends with what is not there");
        g.prefix = uint32_t(prefix);
        g.word = uint32_t(word);
      }
      g.count = uint32_t(in.get(UINT32_MAX));
      if (g.count) {
        const uint64_t lessDocuments = in.get(UINT32_MAX), lessOwners = in.get(UINT32_MAX);
        g.background = uint32_t(in.get(UINT32_MAX));
        if (lessDocuments >= g.count || lessOwners >= g.count - lessDocuments)
          return fail("counts contradict each other");
        g.documents = uint32_t(g.count - lessDocuments);
        g.owners = uint32_t(g.documents - lessOwners);
      }
      if (!in.good)
        return fail("a number is damaged");
      s.grams[n].push_back(g);
    }
  }
  return in.at == bytes.size() || fail("bytes behind the last n-gram");
}

} // namespace semdns::patterns
