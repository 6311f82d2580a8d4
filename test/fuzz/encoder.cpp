// What comes from an encoder's folder, and the section made of it. The first byte chooses:
//   s  safetensors: tables that are accepted lie within the file
//   t  tokenizer.json of an otherwise good folder: a model, or an error
//   w  WPCE: what the validator accepts, the kernel reads within bounds
#include "kernels/wordpiece.h"
#include "lib/encoder/import.h"
#include "lib/encoder/safetensors.h"
#include "lib/encoder/store.h"
#include "runtime/artifact/wordpiece.h"
#include "test/unit/encoder_import/folder.h"
#include "test/unit/kernels/aligned.h"

#include <cstdlib>
#include <fstream>

using namespace semdns;

namespace {

constexpr char kText[] =
    "Hello, w\xc3\xb6rld! \xe6\x9d\xb1\xe4\xba\xac e\xcc\x81 \xff [SEP] \xed\x95\x9c";

void safetensors(std::string_view bytes) {
  std::string error;
  const auto table = encoder::parseSafetensors(bytes, error);
  if (!table) {
    if (error.empty())
      abort(); // a refusal without a reason
    return;
  }
  for (const auto &[name, entry] : *table) {
    if (entry.bytes.size() &&
        (entry.bytes.data() < bytes.data() || entry.bytes.end() > bytes.end()))
      abort();
    std::vector<float> values;
    uint64_t bad;
    if (entry.type != encoder::DType::Other)
      encoder::readFloats(entry, values, bad);
  }
}

void tokenizer(std::string_view bytes) {
  static const test::EncoderFolder folder;
  static const std::string path = folder.write();
  std::ofstream(path + "/tokenizer.json", std::ios::binary) << bytes;
  Diagnostics diags;
  const auto model = encoder::importEncoder(path, diags);
  if (model.has_value() == diags.hasErrors())
    abort();
  if (model && !encoder::faultOf(*model).empty())
    abort();
}

void wordpiece(std::string_view bytes) {
  const test::Aligned aligned(bytes);
  artifact::WordPiece view;
  base::Error error;
  if (!artifact::WordPiece::parse(aligned.span(), view, error)) {
    if (error.code == SEMDNS_OK || !error.message[0])
      abort();
    return;
  }
  uint32_t ids[64], flags;
  const auto *text = reinterpret_cast<const uint8_t *>(kText);
  const uint32_t count =
      uk_window(aligned.data(), text, sizeof kText, text, sizeof kText, 64, ids, &flags);
  for (uint32_t i = 0; i < count; ++i)
    if (ids[i] >= view.header->vocabulary)
      abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size)
    return 0;
  const std::string_view rest(reinterpret_cast<const char *>(data) + 1, size - 1);
  if (data[0] == 's')
    safetensors(rest);
  else if (data[0] == 't')
    tokenizer(rest);
  else if (data[0] == 'w')
    wordpiece(rest);
  return 0;
}
