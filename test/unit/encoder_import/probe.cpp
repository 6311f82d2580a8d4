#include "test/unit/encoder_import/probe.h"

#include "kernels/wordpiece.h"

namespace semdns::test {

encoder::TokeniserSpec probeSpec(uint32_t flags, const std::vector<std::string> &words) {
  encoder::TokeniserSpec spec;
  spec.pieces = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", ""};
  for (uint32_t c = 0; c < 0x20000; ++c) {
    if (c >= 0xd800 && c < 0xe000)
      continue;
    uint8_t bytes[4];
    const std::string piece(reinterpret_cast<char *>(bytes), uk_encode(c, bytes));
    spec.pieces.push_back(piece);
    spec.pieces.push_back("##" + piece);
  }
  spec.pieces.insert(spec.pieces.end(), words.begin(), words.end());
  spec.pad = 0;
  spec.unknown = 1;
  spec.cls = 2;
  spec.sep = 3;
  spec.cleanText = flags & SEMDNS_WPCE_CLEAN_TEXT;
  spec.lowercase = flags & SEMDNS_WPCE_LOWERCASE;
  spec.stripAccents = flags & SEMDNS_WPCE_STRIP_ACCENTS;
  spec.splitChinese = flags & SEMDNS_WPCE_SPLIT_CHINESE;
  return spec;
}

} // namespace semdns::test
