#include "runtime/resolve/artifact.h"

#include "runtime/exec/encoder.h"
#include "runtime/exec/isa.h"
#include "semdns/format/wordpiece.h"

#include <new>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace semdns::resolve {

using artifact::Reader;
using base::Error;

namespace {

uint64_t roundUp(uint64_t size) { return (size + 63) & ~uint64_t(63); }

/// Hands out NUL-terminated copies from one block of known size.
class Strings {
public:
  explicit Strings(char *memory) : next_(memory) {}
  const char *copy(std::string_view text) {
    char *out = next_;
    if (!text.empty())
      memcpy(out, text.data(), text.size());
    out[text.size()] = 0;
    next_ += text.size() + 1;
    return out;
  }

private:
  char *next_;
};

template <typename T> bool allocate(T *&out, uint64_t count, Error &error) {
  out = static_cast<T *>(calloc(count ? count : 1, sizeof(T)));
  return out || base::fail(error, SEMDNS_ERROR_MEMORY, 0, 0, "no memory for %llu entries",
                           static_cast<unsigned long long>(count));
}

int compareNames(const void *a, const void *b, void *views) {
  const auto *v = static_cast<const ZoneView *>(views);
  return strcmp(v[*static_cast<const uint32_t *>(a)].name,
                v[*static_cast<const uint32_t *>(b)].name);
}
int comparePaths(const void *a, const void *b, void *views) {
  const auto *v = static_cast<const ZoneView *>(views);
  return strcmp(v[*static_cast<const uint32_t *>(a)].path,
                v[*static_cast<const uint32_t *>(b)].path);
}

/// The strings and lists that answers point to.
bool prepare(semdns_artifact &a, const artifact::Zones &zones, const artifact::Meta &meta,
             Error &error) {
  const semdns_ztre_header &header = *zones.header;
  a.zoneCount = header.zone_count;
  a.engineCount = header.engine_count;
  a.zones = zones.zones;
  a.metaCount = meta.count();

  // One terminator each. Sums of 32-bit sizes of counts below 2^17: no overflow.
  uint64_t bytes = 1;
  for (uint32_t z = 0; z < a.zoneCount; ++z)
    bytes += uint64_t(zones.zones[z].name_size) + zones.zones[z].path_size + 2;
  for (uint32_t e = 0; e < a.engineCount; ++e)
    bytes += uint64_t(zones.engines[e].name_size) + zones.engines[e].region_size + 2;
  uint64_t cursor = 0;
  for (std::string_view key, value; meta.next(cursor, key, value);)
    bytes += key.size() + value.size() + 2;

  semdns_engine_choice *engines = nullptr;
  if (!allocate(a.strings, bytes, error) || !allocate(a.views, a.zoneCount, error) ||
      !allocate(a.byName, a.zoneCount, error) || !allocate(a.byPath, a.zoneCount, error) ||
      !allocate(a.choices, header.engine_ref_count, error) ||
      !allocate(a.meta, a.metaCount, error) || !allocate(engines, a.engineCount, error))
    return false;

  Strings strings(a.strings);
  for (uint32_t e = 0; e < a.engineCount; ++e) {
    const semdns_engine &from = zones.engines[e];
    engines[e].name = strings.copy(zones.engineName(e));
    engines[e].region = strings.copy(zones.engineRegion(e));
    engines[e].tier = from.tier;
    engines[e].max_context = from.max_context;
    engines[e].cost_per_mtok = static_cast<double>(from.cost_per_mtok_nano) / 1e9;
  }
  for (uint32_t z = 0; z < a.zoneCount; ++z) {
    const semdns_zone &zone = zones.zones[z];
    ZoneView &view = a.views[z];
    a.byName[z] = a.byPath[z] = z;
    view.name = strings.copy(zones.name(z));
    view.path = strings.copy(zones.path(z));
    if (zone.engine_count) {
      view.engines = a.choices + zone.engine_begin;
      view.engineCount = zone.engine_count;
    } else if (z) {
      view.engines = a.views[zone.parent].engines;
      view.engineCount = a.views[zone.parent].engineCount;
    }
  }
  for (uint32_t r = 0; r < header.engine_ref_count; ++r) {
    a.choices[r] = engines[zones.refs[r].engine];
    a.choices[r].weight = zones.refs[r].weight;
  }
  free(engines);
  qsort_r(a.byName, a.zoneCount, sizeof *a.byName, compareNames, a.views);
  qsort_r(a.byPath, a.zoneCount, sizeof *a.byPath, comparePaths, a.views);

  a.name = "";
  cursor = 0;
  std::string_view key, value;
  for (uint32_t i = 0; meta.next(cursor, key, value); ++i) {
    a.meta[i] = {strings.copy(key), strings.copy(value)};
    if (key == "name")
      a.name = a.meta[i].value;
  }
  return true;
}

/// Whether every tokeniser of the artifact reads A as a, and tab, line feed and carriage return as
/// the spaces that they are: the tables are frozen from Unicode, and say what they say.
bool foldsAscii(const uint8_t *text, const uint8_t *wpce) {
  const auto check = [](const uint16_t *stage1, const uint32_t *blocks, uint32_t blockSize) {
    const auto entry = [&](uint32_t code) {
      const uint32_t e = blocks[uint32_t(stage1[0]) * blockSize + code];
      return SEMDNS_TEXT_LENGTH(e) == SEMDNS_TEXT_IDENTITY ? (e & 0xe00000u) | code : e;
    };
    for (uint32_t c = 'A'; c <= 'Z'; ++c)
      if (entry(c) != entry(c + 32) || SEMDNS_TEXT_LENGTH(entry(c)))
        return false;
    for (const uint32_t c : {uint32_t(' '), uint32_t('\t'), uint32_t('\n'), uint32_t('\r')})
      if (SEMDNS_TEXT_CLASS(entry(c)) != SEMDNS_CHAR_SPACE || SEMDNS_TEXT_LENGTH(entry(c)))
        return false;
    return true;
  };
  static_assert(int(SEMDNS_WPCE_SPACE) == int(SEMDNS_CHAR_SPACE) &&
                SEMDNS_WPCE_IDENTITY == SEMDNS_TEXT_IDENTITY);
  const auto &t = *reinterpret_cast<const semdns_text_header *>(text);
  if (!check(reinterpret_cast<const uint16_t *>(text + t.stage1_offset),
             reinterpret_cast<const uint32_t *>(text + t.blocks_offset), SEMDNS_TEXT_BLOCK_SIZE))
    return false;
  if (!wpce)
    return true;
  const auto &w = *reinterpret_cast<const semdns_wpce_header *>(wpce);
  return check(reinterpret_cast<const uint16_t *>(wpce + w.stage1_offset),
               reinterpret_cast<const uint32_t *>(wpce + w.blocks_offset), SEMDNS_WPCE_BLOCK_SIZE);
}

bool load(semdns_artifact &a, const semdns_open_options &options, Error &error) {
  Reader reader;
  const bool full = !(options.flags & SEMDNS_OPEN_MAP) || (options.flags & SEMDNS_OPEN_VERIFY);
  if (!reader.open(a.source.data(), a.source.size(), SEMDNS_KIND_HIERARCHY,
                   full ? artifact::Check::Full : artifact::Check::Structure, error))
    return false;
  a.serial = reader.header().serial;
  a.fileSize = reader.size();
  memcpy(a.digest, reader.header().root_digest, sizeof a.digest);
  for (int i = 0; i < 32; ++i)
    snprintf(a.digestHex + 2 * i, 3, "%02x", a.digest[i]);

  artifact::Contents contents;
  if (!artifact::parseContents(reader, contents, error, /*trustValues=*/!full))
    return false;
  if (contents.features.header->tokeniser != SEMDNS_TOKENISER_WORDS)
    return base::fail(error, SEMDNS_ERROR_FEATURE, SEMDNS_TAG_TOKV, 0,
                      "tokeniser %u is unknown; this library has %u: update it",
                      contents.features.header->tokeniser, unsigned(SEMDNS_TOKENISER_WORDS));
  if (!prepare(a, contents.zones, contents.meta, error))
    return false;

  const auto base = [&](uint32_t tag) { return reader.get(tag).data; };
  a.tables = {sizeof a.tables,
              SEMDNS_KERNEL_ABI,
              base(SEMDNS_TAG_TEXT),
              base(SEMDNS_TAG_KEYW),
              base(SEMDNS_TAG_TOKV),
              base(SEMDNS_TAG_CENT),
              base(SEMDNS_TAG_CLSF),
              contents.hasBeam ? base(SEMDNS_TAG_BEAM) : nullptr,
              {}};
  a.classCount = contents.zones.header->class_count;
  a.scoreCount = a.weightCount = contents.centroids.header->padded_count;
  if (contents.hasBeam) {
    const semdns_beam_header &beam = *contents.beam.header;
    a.scoreCount = beam.node_room;
    a.weightCount = beam.node_room * beam.levels * beam.width;
  }
  a.dim = contents.features.header->dim;
  a.stages = (contents.keywords.header->term_count ? SEMDNS_STAGE_KEYWORD : 0) |
             (a.classCount ? SEMDNS_STAGE_EMBEDDING : 0) |
             (contents.hasEncoder ? SEMDNS_STAGE_ENCODER : 0);
  if (contents.hasEncoder) {
    a.encoder = contents.encoder;
    a.wpce = base(SEMDNS_TAG_WPCE);
    a.head = base(SEMDNS_TAG_HEAD);
  }

  a.isas[a.isaCount++] = exec::isaName(SEMDNS_ISA_PORTABLE);
  for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
    const semdns_section entry = reader.entry(i);
    if (entry.tag == SEMDNS_TAG_KCPU && exec::isaName(entry.target) && a.isaCount < kMaxIsas)
      a.isas[a.isaCount++] = exec::isaName(entry.target);
  }
  a.foldsAscii = foldsAscii(a.tables.text, a.wpce);
  for (uint32_t z = 0; z < a.zoneCount; ++z)
    a.anyShareable |= (a.zones[z].flags & SEMDNS_ZONE_SHAREABLE) != 0;
  if (options.verify && options.verify(options.verify_user, a.digest) != 0)
    return base::fail(error, SEMDNS_ERROR_CODE, 0, 0,
                      "the caller's verification refused the artifact");
  if (!exec::loadKernel(reader, contents,
                        {options.isa, (options.flags & SEMDNS_OPEN_DATA_ONLY) != 0}, a.kernel,
                        error))
    return false;
  a.encode = a.kernel.encode;
  return true;
}

void destroy(semdns_artifact *a) {
  free(a->strings);
  free(a->views);
  free(a->choices);
  free(a->byName);
  free(a->byPath);
  free(a->meta);
  a->~semdns_artifact();
  free(a);
}

semdns_status report(semdns_error *error, const Error &from) {
  if (error && error->size >= sizeof *error) {
    error->code = from.code;
    memset(error->section, 0, sizeof error->section);
    memcpy(error->section, from.section, sizeof from.section);
    error->offset = from.offset;
    memcpy(error->message, from.message, sizeof error->message);
  }
  return static_cast<semdns_status>(from.code);
}

/// Opens what `attach` puts into the source.
template <typename Attach>
semdns_status open(const semdns_open_options *given, semdns_artifact **out, semdns_error *error,
                   Attach attach) {
  constexpr uint32_t kFlags = SEMDNS_OPEN_MAP | SEMDNS_OPEN_VERIFY | SEMDNS_OPEN_DATA_ONLY;
  if (!out)
    return fail(error, SEMDNS_ERROR_ARGUMENT, "out must not be null");
  *out = nullptr;
  semdns_open_options options{};
  options.size = sizeof options;
  if (given) {
    if (given->size < sizeof options || (given->flags & ~kFlags))
      return fail(error, SEMDNS_ERROR_ARGUMENT, "options: wrong size or unknown flags");
    options = *given;
  }
  void *memory = malloc(sizeof(semdns_artifact));
  if (!memory)
    return fail(error, SEMDNS_ERROR_MEMORY, "no memory for an artifact");
  auto *a = new (memory) semdns_artifact();
  Error e{};
  if (!attach(a->source, options.flags & SEMDNS_OPEN_MAP, e) || !load(*a, options, e)) {
    destroy(a);
    return report(error, e);
  }
  *out = a;
  return SEMDNS_OK;
}

/// The zone that `name` names in one of the sorted lists; UINT32_MAX without one.
template <typename Get>
uint32_t findSorted(const semdns_artifact &a, const uint32_t *order, const char *name, Get get) {
  uint32_t low = 0, high = a.zoneCount;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    const int c = strcmp(get(a.views[order[middle]]), name);
    if (c == 0)
      return order[middle];
    if (c < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return UINT32_MAX;
}

} // namespace

static uint64_t encoderSize(const semdns_artifact &a) {
  if (!a.head)
    return 0;
  const auto &h = *reinterpret_cast<const semdns_head_header *>(a.head);
  return roundUp(h.padded_width) + 2 * roundUp(sizeof(int32_t) * uint64_t(h.padded_count)) +
         roundUp(exec::encoderArenaSize(a.encoder));
}

uint64_t workSize(const semdns_artifact &a) {
  return sizeof(uint64_t) * (SEMDNS_MAX_WORDS + SEMDNS_MAX_FEATURES) +
         sizeof(uint32_t) * (SEMDNS_MAX_FEATURES + SEMDNS_MAX_HITS) +
         roundUp(sizeof(int32_t) * uint64_t(a.zoneCount)) +
         roundUp(sizeof(int32_t) * uint64_t(a.dim)) + roundUp(a.dim) +
         roundUp(sizeof(int32_t) * uint64_t(a.scoreCount ? a.scoreCount : 1)) +
         roundUp(sizeof(int32_t) * uint64_t(a.weightCount ? a.weightCount : 1)) +
         (a.tables.beam ? roundUp(sizeof(semdns_kernel_trace)) : 0) + encoderSize(a);
}

void layOut(const semdns_artifact &a, uint8_t *memory, Work &work) {
  semdns_kernel_scratch &scratch = work.kernel;
  const auto take = [&](auto *&field, uint64_t count) {
    field = reinterpret_cast<__decltype(&field[0])>(memory);
    memory += roundUp(count * sizeof field[0]);
  };
  memset(&scratch, 0, sizeof scratch);
  scratch.size = sizeof scratch;
  // The small arrays first: they are the hot ones.
  take(scratch.pool, a.dim);
  take(scratch.quant, a.dim);
  take(scratch.scores, a.scoreCount ? a.scoreCount : 1);
  take(scratch.weights, a.weightCount ? a.weightCount : 1);
  if (a.tables.beam)
    take(scratch.trace, 1);
  take(scratch.hits, SEMDNS_MAX_HITS);
  take(scratch.words, SEMDNS_MAX_WORDS);
  take(scratch.rows, SEMDNS_MAX_FEATURES);
  take(scratch.features, SEMDNS_MAX_FEATURES);
  take(scratch.votes, a.zoneCount);
  memset(scratch.votes, 0, sizeof(int32_t) * uint64_t(a.zoneCount));
  work.head = {};
  work.arena = nullptr;
  if (a.head) {
    const auto &h = *reinterpret_cast<const semdns_head_header *>(a.head);
    take(work.head.query, h.padded_width);
    take(work.head.scores, h.padded_count);
    take(work.head.weights, h.padded_count);
    take(work.arena, exec::encoderArenaSize(a.encoder));
  }
}

semdns_status fail(semdns_error *error, semdns_status code, const char *message) {
  Error e{};
  base::fail(e, code, 0, 0, "%s", message);
  return report(error, e);
}

} // namespace semdns::resolve

using semdns::resolve::fail;

extern "C" {

semdns_status semdns_artifact_open_path(const char *path, const semdns_open_options *options,
                                        semdns_artifact **out, semdns_error *error) {
  if (!path) {
    if (out)
      *out = nullptr;
    return fail(error, SEMDNS_ERROR_ARGUMENT, "path must not be null");
  }
  return semdns::resolve::open(
      options, out, error, [&](semdns::artifact::Source &source, bool map, semdns::base::Error &e) {
        return source.openPath(
            path, map ? semdns::artifact::Source::Mode::Map : semdns::artifact::Source::Mode::Copy,
            e);
      });
}

semdns_status semdns_artifact_open_fd(int fd, const semdns_open_options *options,
                                      semdns_artifact **out, semdns_error *error) {
  return semdns::resolve::open(
      options, out, error, [&](semdns::artifact::Source &source, bool map, semdns::base::Error &e) {
        return source.openFd(
            fd, map ? semdns::artifact::Source::Mode::Map : semdns::artifact::Source::Mode::Copy,
            e);
      });
}

semdns_status semdns_artifact_open_memory(const void *data, size_t size,
                                          const semdns_open_options *options, semdns_artifact **out,
                                          semdns_error *error) {
  if (!data && size) {
    if (out)
      *out = nullptr;
    return fail(error, SEMDNS_ERROR_ARGUMENT, "data must not be null");
  }
  return semdns::resolve::open(
      options, out, error, [&](semdns::artifact::Source &source, bool map, semdns::base::Error &e) {
        return source.openMemory(
            data, size,
            map ? semdns::artifact::Source::Mode::Map : semdns::artifact::Source::Mode::Copy, e);
      });
}

semdns_artifact *semdns_artifact_retain(semdns_artifact *artifact) {
  if (artifact)
    __atomic_fetch_add(&artifact->references, 1, __ATOMIC_RELAXED);
  return artifact;
}

void semdns_artifact_release(semdns_artifact *artifact) {
  if (artifact && __atomic_fetch_sub(&artifact->references, 1, __ATOMIC_ACQ_REL) == 1)
    semdns::resolve::destroy(artifact);
}

semdns_status semdns_artifact_get_info(const semdns_artifact *artifact,
                                       semdns_artifact_info *info) {
  if (!artifact || !info || info->size < sizeof *info)
    return SEMDNS_ERROR_ARGUMENT;
  info->zone_count = artifact->zoneCount;
  info->class_count = artifact->classCount;
  info->engine_count = artifact->engineCount;
  info->serial = artifact->serial;
  info->file_size = artifact->fileSize;
  memcpy(info->digest, artifact->digest, sizeof info->digest);
  info->digest_hex = artifact->digestHex;
  info->name = artifact->name;
  info->isa = semdns::exec::isaName(artifact->kernel.isa);
  info->isa_reason = artifact->kernel.reason;
  info->source_reason = artifact->source.how();
  info->scratch_size = semdns::resolve::scratchSize(*artifact);
  return SEMDNS_OK;
}

const char *semdns_artifact_meta(const semdns_artifact *artifact, const char *key) {
  if (!artifact || !key)
    return nullptr;
  uint32_t low = 0, high = artifact->metaCount;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    const int c = strcmp(artifact->meta[middle].key, key);
    if (c == 0)
      return artifact->meta[middle].value;
    if (c < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return nullptr;
}

size_t semdns_artifact_isas(const semdns_artifact *artifact, const char **names, size_t capacity) {
  if (!artifact)
    return 0;
  for (uint32_t i = 0; names && i < artifact->isaCount && i < capacity; ++i)
    names[i] = artifact->isas[i];
  return artifact->isaCount;
}

semdns_status semdns_artifact_zone(const semdns_artifact *artifact, uint32_t index,
                                   semdns_zone_ref *zone) {
  if (!artifact || !zone || index >= artifact->zoneCount)
    return SEMDNS_ERROR_ARGUMENT;
  *zone = {index, 0, artifact->views[index].name, artifact->views[index].path};
  return SEMDNS_OK;
}

uint32_t semdns_artifact_find_zone(const semdns_artifact *artifact, const char *name) {
  using semdns::resolve::ZoneView;
  if (!artifact || !name)
    return UINT32_MAX;
  const uint32_t zone = semdns::resolve::findSorted(*artifact, artifact->byName, name,
                                                    [](const ZoneView &v) { return v.name; });
  return zone != UINT32_MAX ? zone
                            : semdns::resolve::findSorted(*artifact, artifact->byPath, name,
                                                          [](const ZoneView &v) { return v.path; });
}

uint32_t semdns_artifact_zone_parent(const semdns_artifact *artifact, uint32_t index) {
  return artifact && index && index < artifact->zoneCount ? artifact->zones[index].parent
                                                          : UINT32_MAX;
}

} // extern "C"
