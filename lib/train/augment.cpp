#include "lib/train/augment.h"

#include "lib/train/numeric.h"

#include <algorithm>

namespace semdns::train {

namespace {

using Words = std::vector<std::string_view>;

// Said with any request. Few and neutral, so that they teach only that they mean nothing.
constexpr const char *kBefore[] = {"hi",
                                   "hello",
                                   "hey there",
                                   "please",
                                   "ok so",
                                   "um",
                                   "quick question",
                                   "i was wondering",
                                   "could you tell me",
                                   "can you help me with this",
                                   "i need to know",
                                   "sorry to bother you but"};
constexpr const char *kAfter[] = {"please", "thanks",   "thank you",        "if you can",
                                  "asap",   "any idea", "thanks in advance"};

constexpr uint32_t kLongWords = 24; // from here on a part of the text is a text

// Rows of a keyboard: a letter's neighbours stand beside it.
constexpr std::string_view kKeys[] = {"qwertyuiop", "asdfghjkl", "zxcvbnm"};

Words wordsOf(std::string_view text) {
  Words words;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && uint8_t(text[end]) > ' ')
      ++end;
    if (end > i)
      words.push_back(text.substr(i, end - i));
    i = end + 1;
  }
  return words;
}

std::string join(const Words &words, size_t from, size_t to) {
  std::string out;
  for (size_t i = from; i < to; ++i) {
    if (i > from)
      out += ' ';
    out += words[i];
  }
  return out;
}

std::vector<std::string> codePoints(std::string_view word) {
  std::vector<std::string> points;
  for (char c : word)
    if (points.empty() || (uint8_t(c) & 0xc0) != 0x80)
      points.emplace_back(1, c);
    else
      points.back() += c;
  return points;
}

std::string neighbour(const std::string &letter, Random &random) {
  for (std::string_view row : kKeys) {
    size_t at = row.find(letter);
    if (letter.size() != 1 || at == row.npos)
      continue;
    size_t other = at == 0 ? 1 : at + 1 == row.size() || random.below(2) ? at - 1 : at + 1;
    return std::string(1, row[other]);
  }
  return letter;
}

/// One typing error somewhere behind the first letter; short words stay.
std::string mistype(std::string_view word, Random &random) {
  std::vector<std::string> points = codePoints(word);
  if (points.size() < 4)
    return std::string(word);
  size_t at = 1 + random.below(points.size() - 2);
  switch (random.below(4)) {
  case 0:
    std::swap(points[at], points[at + 1]);
    break;
  case 1:
    points[at].clear();
    break;
  case 2:
    points[at] += points[at];
    break;
  default:
    points[at] = neighbour(points[at], random);
  }
  std::string out;
  for (const std::string &point : points)
    out += point;
  return out;
}

std::string leaveOut(const Words &words, Random &random) {
  // Between a tenth and a half of the words.
  uint64_t share = 10 + random.below(40);
  Words kept;
  for (std::string_view word : words)
    if (random.below(100) >= share)
      kept.push_back(word);
  if (kept.empty())
    kept.push_back(words[random.below(words.size())]);
  return join(kept, 0, kept.size());
}

std::string typos(const Words &words, Random &random) {
  uint64_t errors = 1 + words.size() / 8;
  std::vector<std::string> changed(words.begin(), words.end());
  for (uint64_t i = 0; i < errors; ++i) {
    std::string &word = changed[random.below(changed.size())];
    word = mistype(word, random);
  }
  return join(Words(changed.begin(), changed.end()), 0, changed.size());
}

std::string crossover(const Words &a, const Words &b, Random &random) {
  size_t head = 1 + random.below(a.size()), tail = random.below(b.size());
  return join(a, 0, head) + ' ' + join(b, tail, b.size());
}

std::string part(const Words &words, Random &random) {
  size_t length = std::min(words.size() - 1, size_t(6 + random.below(words.size() / 2)));
  size_t from = random.below(words.size() - length + 1);
  return join(words, from, from + length);
}

} // namespace

std::vector<Variation> augment(std::span<const std::string_view> texts,
                               std::span<const uint32_t> group, const AugmentOptions &options) {
  std::vector<Variation> out;
  if (texts.empty())
    return out;
  uint32_t groups = *std::max_element(group.begin(), group.end()) + 1;
  std::vector<std::vector<uint32_t>> members(groups);
  for (uint32_t i = 0; i < texts.size(); ++i)
    members[group[i]].push_back(i);
  size_t bytes = 0;
  // Rounds over all texts in an order of their own: however few are wanted, all are used alike.
  for (uint64_t round = 0; out.size() < options.count; ++round) {
    size_t before = out.size();
    for (uint32_t i : permutation(texts.size(), options.seed * 7919 + round)) {
      if (out.size() == options.count || bytes > options.maxBytes)
        break;
      Random random((options.seed * 1000003 + round) * 1000033 + i);
      Words words = wordsOf(texts[i]);
      if (words.empty())
        continue;
      Variation v{{}, i, group[i]};
      uint64_t dice = random.below(100);
      const std::vector<uint32_t> &own = members[group[i]];
      if (words.size() >= kLongWords && dice < 40) {
        v.text = part(words, random);
      } else if (dice < 35) {
        v.text = leaveOut(words, random);
      } else if (dice < 65 && own.size() > 1) {
        Words other = wordsOf(texts[own[random.below(own.size())]]);
        v.text = other.empty() ? std::string() : crossover(words, other, random);
      } else if (dice < 80) {
        v.text = typos(words, random);
      } else if (dice < 88) {
        v.text = random.below(2)
                     ? std::string(kBefore[random.below(std::size(kBefore))]) + ' ' +
                           std::string(texts[i])
                     : std::string(texts[i]) + ' ' + kAfter[random.below(std::size(kAfter))];
      } else {
        uint32_t j = uint32_t(random.below(texts.size()));
        Words other = wordsOf(texts[j]);
        if (!other.empty()) {
          v.text = crossover(words, other, random);
          if (group[j] != group[i])
            v.group = kMixed;
        }
      }
      if (v.text.empty() || v.text == texts[i])
        continue;
      bytes += v.text.size();
      out.push_back(std::move(v));
    }
    if (out.size() == before || bytes > options.maxBytes)
      break;
  }
  return out;
}

} // namespace semdns::train
