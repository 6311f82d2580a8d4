// The reader and every validator behind it. Digests would stop nearly all mutations at the door, so
// each input is read twice: as it is, and with its digests made right.
#include "runtime/artifact/contents.h"
#include "runtime/exec/encoder.h"
#include "runtime/exec/head.h"
#include "test/unit/artifact/sample.h"

#include <cstdlib>
#include <cstring>

using namespace semdns;

namespace {

// Touches what the views promise, so that a promise not kept is a crash here.
uint64_t use(const artifact::Contents &c, bool hierarchy) {
  uint64_t sum = 0, cursor = 0;
  for (std::string_view key, value; c.meta.next(cursor, key, value);)
    sum += static_cast<unsigned char>(key.back()) + value.size();
  if (c.hasPatterns)
    for (uint32_t i = 0; i < c.patterns.header->pattern_count; ++i)
      sum += static_cast<unsigned char>(c.patterns.text(i).back());
  if (!hierarchy)
    return sum;
  for (uint32_t z = 0; z < c.zones.header->zone_count; ++z) {
    const semdns_zone &zone = c.zones.zones[z];
    sum += static_cast<unsigned char>(c.zones.name(z).back());
    sum += static_cast<unsigned char>(c.zones.path(z).back());
    for (uint32_t e = 0; e < zone.engine_count; ++e)
      sum += c.zones.engineName(c.zones.refs[zone.engine_begin + e].engine).size();
    uint32_t depth = 0; // the climb to the root ends
    for (uint32_t up = z; up; up = c.zones.zones[up].parent)
      if (++depth > SEMDNS_MAX_DEPTH)
        abort();
    if (depth != zone.depth)
      abort();
  }
  for (uint32_t i = 0; i < c.keywords.header->output_count; ++i)
    sum += c.keywords.text(c.keywords.outputs[i]).size();
  for (uint32_t k = 0; k < c.zones.header->class_count; ++k)
    if (c.zones.zones[c.acceptance.classZone[k]].own_class != k)
      abort();
  if (c.hasGold)
    for (uint32_t i = 0; i < c.gold.header->count; ++i)
      for (const char ch : c.gold.query(i))
        sum += static_cast<unsigned char>(ch);
  return sum;
}

/// Stage 3 over a few texts: no table that the validators let pass may lead it astray.
void encode(const artifact::Contents &c, const uint8_t *clsf, const uint8_t *head) {
  const semdns_head_header &h = *c.head.header;
  const uint64_t arena = exec::encoderArenaSize(c.encoder);
  if (arena > 16 << 20 || c.encoder.header->layer_count > 2)
    return; // right, but slow
  void *memory = aligned_alloc(64, arena);
  exec::HeadScratch scratch;
  scratch.query = static_cast<int8_t *>(calloc(h.padded_width, 1));
  scratch.scores = static_cast<int32_t *>(calloc(h.padded_count, 4));
  scratch.weights = static_cast<uint32_t *>(calloc(h.padded_count, 4));
  int32_t *scores2 = static_cast<int32_t *>(calloc(h.class_count, 4));
  for (const char *text : {"", "a", "The 2nd caf\xc3\xa9 \xe6\x88\x91\xff!"}) {
    semdns_kernel_query query = {};
    query.size = sizeof query;
    query.text = query.context = reinterpret_cast<const uint8_t *>(text);
    query.text_size = query.context_size = strlen(text);
    exec::Encoded encoded;
    if (!exec::encodeQuery(c.encoder, reinterpret_cast<const uint8_t *>(c.wordpiece.header),
                           exec::encodePortable, query, memory, scratch.query, encoded))
      continue;
    semdns_kernel_answer answer = {};
    answer.gain = 1000;
    exec::decideEncoded(clsf, head, encoded.peak, scores2, SEMDNS_KERNEL_TOP_MAX, scratch, answer);
    if (encoded.peak > 65536 || answer.zone >= h.zone_count || answer.confidence > 65536)
      abort();
  }
  free(memory);
  free(scratch.query);
  free(scratch.scores);
  free(scratch.weights);
  free(scores2);
}

bool read(const uint8_t *data, size_t size) {
  artifact::Reader reader;
  artifact::Contents contents;
  base::Error error;
  if (!reader.open(data, size, 0, artifact::Check::Full, error) ||
      !artifact::parseContents(reader, contents, error)) {
    if (error.code == SEMDNS_OK || !error.message[0])
      abort(); // a refusal without a reason
    return false;
  }
  volatile uint64_t sum = use(contents, reader.header().kind == SEMDNS_KIND_HIERARCHY);
  (void)sum;
  if (contents.hasEncoder)
    encode(contents, reader.get(SEMDNS_TAG_CLSF).data, reader.get(SEMDNS_TAG_HEAD).data);
  artifact::checkKernels(reader, contents, error);
  for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
    const uint64_t raw = reader.entry(i).raw_size;
    if (raw > 1 << 20)
      continue;
    void *out = malloc(raw);
    reader.decompress(i, out, raw, error);
    free(out);
  }
  return true;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const size_t room = (size + 63) / 64 * 64;
  uint8_t *aligned = static_cast<uint8_t *>(aligned_alloc(64, room ? room : 64));
  // To the end of the block, so that the address sanitizer sees the first byte beyond; sizes that
  // are no multiple of 64 are refused by the container in any case.
  if (size)
    memcpy(aligned, data, size);
  read(aligned, size);
  if (size >= sizeof(semdns_header)) {
    std::string file(reinterpret_cast<const char *>(data), size);
    auto header = test::get<semdns_header>(file, 0);
    // Make right what is no rule of its own: sizes that an insertion or removal has moved.
    header.file_size = size;
    if (header.table_offset <= size && header.section_count <= SEMDNS_MAX_SECTIONS &&
        header.entry_size >= sizeof(semdns_section) && header.entry_size <= 512 &&
        uint64_t{header.section_count} * header.entry_size <= size - header.table_offset) {
      test::put(file, 0, header);
      test::reseal(file);
      memcpy(aligned, file.data(), size);
      read(aligned, size);
    }
  }
  free(aligned);
  return 0;
}
