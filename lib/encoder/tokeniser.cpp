#include "lib/encoder/tokeniser.h"

#include "kernels/wordpiece.h"
#include "lib/encoder/normaliser.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace semdns::encoder {
namespace {

const uint8_t *bytesOf(std::string_view text) {
  return reinterpret_cast<const uint8_t *>(text.data());
}

} // namespace

uint32_t windowTokens(const Shape &shape) { return std::min(shape.maxTokens, kMaxWindow); }

pack::WordPieceModel wordPieceModel(const TokeniserSpec &spec) {
  pack::WordPieceModel model;
  model.vocabulary = static_cast<uint32_t>(spec.pieces.size());
  model.unknown = spec.unknown;
  model.cls = spec.cls;
  model.sep = spec.sep;
  model.pad = spec.pad;
  model.maxWordChars = spec.maxWordChars;
  model.flags = (spec.cleanText ? SEMDNS_WPCE_CLEAN_TEXT : 0) |
                (spec.lowercase ? SEMDNS_WPCE_LOWERCASE : 0) |
                (spec.stripAccents ? SEMDNS_WPCE_STRIP_ACCENTS : 0) |
                (spec.splitChinese ? SEMDNS_WPCE_SPLIT_CHINESE : 0);
  for (uint32_t id = 0; id < model.vocabulary; ++id) {
    const std::string &piece = spec.pieces[id];
    if (piece.empty() || id == spec.unknown || id == spec.cls || id == spec.sep || id == spec.pad)
      continue;
    model.start.push_back({piece, id});
    if (piece.size() > spec.continuation.size() && piece.starts_with(spec.continuation))
      model.next.push_back({piece.substr(spec.continuation.size()), id});
  }
  NormaliserTable table = buildNormaliserTable(spec);
  model.stage1 = std::move(table.stage1);
  model.blocks = std::move(table.blocks);
  model.pool = std::move(table.pool);
  return model;
}

std::optional<std::string> buildWordPieceSection(const TokeniserSpec &spec, std::string &error) {
  return pack::buildWordPieceSection(wordPieceModel(spec), error);
}

Tokeniser::Tokeniser(const TokeniserSpec &spec) {
  std::string error;
  std::optional<std::string> bytes = buildWordPieceSection(spec, error);
  if (!bytes) {
    std::fprintf(stderr, "semdns: %s\n", error.c_str());
    std::abort();
  }
  // 64-byte alignment, as in a file.
  auto storage = std::shared_ptr<uint64_t[]>(new uint64_t[bytes->size() / 8 + 9]);
  void *at = storage.get();
  size_t room = bytes->size() + 64;
  std::align(64, bytes->size(), at, room);
  std::memcpy(at, bytes->data(), bytes->size());
  table_ = static_cast<const uint8_t *>(at);
  size_ = bytes->size();
  storage_ = std::move(storage);
}

std::vector<uint32_t> Tokeniser::encode(std::string_view text) const {
  std::vector<uint32_t> ids(text.size() / 3 + 16);
  uint64_t count = uk_wordpiece(table_, bytesOf(text), text.size(), ids.data(), ids.size());
  if (count > ids.size()) {
    ids.resize(count);
    uk_wordpiece(table_, bytesOf(text), text.size(), ids.data(), ids.size());
  }
  ids.resize(count);
  return ids;
}

std::vector<uint32_t> Tokeniser::window(std::string_view text, std::string_view context,
                                        uint32_t maxTokens) const {
  std::vector<uint32_t> ids(std::clamp(maxTokens, 8u, SEMDNS_WPCE_MAX_WINDOW));
  uint32_t flags;
  ids.resize(uk_window(table_, bytesOf(context), context.size(), bytesOf(text), text.size(),
                       static_cast<uint32_t>(ids.size()), ids.data(), &flags));
  return ids;
}

std::string_view Tokeniser::section() const {
  return {reinterpret_cast<const char *>(table_), size_};
}

} // namespace semdns::encoder
