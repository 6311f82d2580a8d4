/// \file META: key/value strings.
#pragma once

#include "runtime/artifact/reader.h"
#include "semdns/format/meta.h"

#include <string_view>

namespace semdns::artifact {

/// View of a validated META section; refers to its bytes.
class Meta {
public:
  /// Validates `span` by the rules of format/meta.h. Offsets in `error` count from the section.
  static bool parse(Span span, Meta &out, base::Error &error);

  uint32_t count() const { return count_; }
  /// Value of `key`; null data() if there is none. Linear: for opening and printing, not queries.
  std::string_view find(std::string_view key) const;

  /// Iteration in key order: start with cursor = 0, false at the end.
  bool next(uint64_t &cursor, std::string_view &key, std::string_view &value) const;

private:
  const uint8_t *pairs_ = nullptr;
  uint64_t bytes_ = 0;
  uint32_t count_ = 0;
};

} // namespace semdns::artifact
