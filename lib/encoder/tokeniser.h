/// \file Text to the encoder's token ids: the run time's own kernel (kernels/wordpiece.h) over a
/// WPCE section made from the imported tokeniser.
#pragma once

#include "lib/encoder/model.h"
#include "lib/pack/wordpiece_build.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::encoder {

/// Tokens of a window at most, whatever the model could take: [CLS] and [SEP] included.
inline constexpr uint32_t kMaxWindow = 128;

/// The window that stage 3 and training use for a model: min(shape.maxTokens, kMaxWindow).
uint32_t windowTokens(const Shape &shape);

/// The tokeniser as pack::buildWordPieceSection wants it. Thread-safe.
pack::WordPieceModel wordPieceModel(const TokeniserSpec &spec);

/// Bytes of the WPCE section (semdns/format/wordpiece.h). The same spec gives the same bytes with
/// any ICU from 72 on. On failure (ids out of range, limits) nullopt and `error`.
std::optional<std::string> buildWordPieceSection(const TokeniserSpec &spec, std::string &error);

/// Immutable, thread-safe, copyable. Gives the ids of PyPI's `tokenizers` on any text, except that
/// text which spells a special token ("[SEP]") stays text: users cannot inject one.
class Tokeniser {
public:
  /// `spec` must be one that importEncoder or loadModel returned: any other may end the program.
  explicit Tokeniser(const TokeniserSpec &spec);

  /// Pieces of the whole text, no special tokens. Ill-formed UTF-8 is read as U+FFFD.
  std::vector<uint32_t> encode(std::string_view text) const;

  /// What the encoder reads (kernels/wordpiece.h, uk_window): [CLS] text [SEP], or [CLS] context
  /// [SEP] text [SEP]; at most `maxTokens` ids, 8..SEMDNS_WPCE_MAX_WINDOW.
  std::vector<uint32_t> window(std::string_view text, std::string_view context,
                               uint32_t maxTokens) const;

  /// The WPCE section: 64-byte aligned.
  std::string_view section() const;

private:
  std::shared_ptr<const uint64_t[]> storage_;
  const uint8_t *table_ = nullptr;
  size_t size_ = 0;
};

} // namespace semdns::encoder
