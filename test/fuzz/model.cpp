// TOKM and BYTM: a section with some bytes changed is refused or coded with, and either way every
// text comes back (by tables that were not changed) or nothing is touched that is not ours.
#include "lib/codec/model.h"
#include "runtime/codec/model.h"
#include "test/unit/codec_model/synthetic.h"

#include <cstdlib>
#include <cstring>

using namespace semdns;
using namespace semdns::codec;

namespace {

struct Sample {
  uint8_t *bytes;
  size_t size;
  explicit Sample(uint32_t kind) {
    const std::vector<std::string> documents = syntheticDocuments(30, 100, 1);
    const std::vector<std::string_view> views(documents.begin(), documents.end());
    ModelOptions options;
    options.kind = kind;
    options.maxBytes = 4 << 20;
    options.maxTokens = 1024;
    const std::vector<uint8_t> section = buildModel(views, options);
    size = section.size();
    bytes = static_cast<uint8_t *>(aligned_alloc(64, (size + 63) & ~size_t{63}));
    memcpy(bytes, section.data(), size);
  }
};

} // namespace

// One byte: kind, number of changes n; n times offset (3 bytes) and value; the rest is text, then
// payload.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Sample samples[2] = {Sample(SEMDNS_MODEL_TOKENS), Sample(SEMDNS_MODEL_BYTES)};
  static void *const scratch = aligned_alloc(64, 32 << 20);
  if (size < 1)
    return 0;
  Sample &sample = samples[data[0] & 1];
  size_t changes = data[0] >> 1 & 15, at = 1;
  struct Change {
    size_t offset;
    uint8_t before;
  } made[16];
  size_t count = 0;
  for (; count < changes && at + 4 <= size; at += 4, ++count) {
    const size_t offset =
        (data[at] | size_t{data[at + 1]} << 8 | size_t{data[at + 2]} << 16) % sample.size;
    made[count] = {offset, sample.bytes[offset]};
    sample.bytes[offset] = data[at + 3];
  }
  ModelTables tables;
  uint64_t where = 0;
  const char *wrong = attachModel(sample.bytes, sample.size, tables, where);
  if (wrong && !count)
    abort();
  if (!wrong) {
    const uint8_t *text = data + at;
    const size_t n = size - at < 4096 ? size - at : 4096;
    std::vector<uint8_t> coded(n + 64), back(n);
    const size_t written = modelEncode(tables, Mode::Fast, text, n, coded.data(), n + 64, scratch);
    const bool ok = modelDecode(tables, Mode::Fast, coded.data(), written, back.data(), n, scratch);
    // Tables that no one built may make encoder and decoder disagree on nothing either: what both
    // use is the same.
    if (written && (!ok || (n && memcmp(back.data(), text, n) != 0)))
      abort();
    std::vector<uint8_t> out(2000);
    const std::vector<uint8_t> payload(text, text + n);
    modelDecode(tables, Mode::Fast, payload.data(), n, out.data(), out.size(), scratch);
  }
  while (count--)
    sample.bytes[made[count].offset] = made[count].before;
  return 0;
}
