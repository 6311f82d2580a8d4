/// \file Variations of the training texts, for the teacher to judge: what users might also have
/// typed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::train {

struct AugmentOptions {
  size_t count = 0;    ///< variations to make, at most
  size_t maxBytes = 0; ///< of all variations together
  uint64_t seed = 1;
};

/// A variation and the text that it was made of. `group` is that text's class when every word is of
/// that class's texts, kMixed when two classes' texts were put together.
struct Variation {
  std::string text;
  uint32_t source = 0, group = 0;
};
inline constexpr uint32_t kMixed = 0xffffffffu;

/// Makes variations of `texts` (of classes `group`), each text in turn: words left out, beginnings
/// and ends of two texts of a class joined, typing errors, polite beginnings and ends, a part of a
/// long text, halves of two classes' texts. Letter case is left alone, as no stage looks at it.
/// Works on code points: well-formed texts give well-formed variations. Seeded; same inputs, same
/// variations. None is empty or equals its source.
std::vector<Variation> augment(std::span<const std::string_view> texts,
                               std::span<const uint32_t> group, const AugmentOptions &options);

} // namespace semdns::train
