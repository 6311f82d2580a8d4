/// The C ABI of semdns/codec.h: tables of an artifact, frames, streams.
#include "runtime/codec/codec.h"

#include "runtime/artifact/reader.h"
#include "runtime/base/checked.h"
#include "runtime/resolve/artifact.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace semdns::codec {
namespace {

using base::Error;

constexpr int kDefaultLevel = 19;
constexpr uint32_t kEveryMode = (1u << kModes) - 1;
/// Scratch of the frames themselves: a block at the edge of a range; a trial output of AUTO.
constexpr size_t kEdge = kMaxBlock + 64;
/// What AUTO tries the modes on.
constexpr size_t kSample = 4096;

size_t roundUp(size_t size) { return (size + 63) & ~size_t(63); }

Mode modeOfTag(uint32_t tag) {
  switch (tag) {
  case SEMDNS_TAG_DICT:
    return Mode::Zstd;
  case SEMDNS_TAG_PHRS:
    return Mode::Turbo;
  case SEMDNS_TAG_TOKM:
    return Mode::Fast;
  case SEMDNS_TAG_BYTM:
    return Mode::Max;
  default:
    return Mode::Raw;
  }
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

[[gnu::format(printf, 4, 5)]] semdns_status fail(semdns_error *error, semdns_status code,
                                                 uint64_t offset, const char *format, ...) {
  if (!error || error->size < sizeof *error)
    return code;
  error->code = code;
  memset(error->section, 0, sizeof error->section);
  error->offset = offset;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  return code;
}

semdns_status argument(semdns_error *error, const char *what) {
  return fail(error, SEMDNS_ERROR_ARGUMENT, 0, "%s", what);
}

semdns_status damaged(semdns_error *error, uint64_t offset, const char *what) {
  return fail(error, SEMDNS_ERROR_FRAME, offset, "byte %llu: %s",
              static_cast<unsigned long long>(offset), what);
}

// ---- Tables ----------------------------------------------------------------------------------

/// Validates the tables and makes them ready for the directions wanted.
bool attach(TableSet &set, int level, uint64_t fileOffset, Error &error) {
  switch (set.mode) {
  case Mode::Zstd:
    if (!openZstd(set.bytes, set.size, level, set.zstd))
      return base::fail(error, SEMDNS_ERROR_SECTION, SEMDNS_TAG_DICT, fileOffset,
                        "zstd does not accept the dictionary of zone %u, or has no memory for it",
                        set.zone);
    return true;
  case Mode::Turbo: {
    uint64_t at;
    if (const char *problem = attachPhrases(set.bytes, set.size, set.phrases, at))
      return base::fail(error, SEMDNS_ERROR_SECTION, SEMDNS_TAG_PHRS, fileOffset + at, "%s",
                        problem);
    if (level && !(set.phrases.index = openTurboIndex(set.phrases)))
      return base::fail(error, SEMDNS_ERROR_SECTION, SEMDNS_TAG_PHRS, fileOffset,
                        "phrases of zone %u: a byte or order is missing, or memory for their trie",
                        set.zone);
    return true;
  }
  default: {
    uint64_t at;
    const char *problem = attachModel(set.bytes, set.size, set.model, at);
    return !problem || base::fail(error, SEMDNS_ERROR_SECTION,
                                  set.mode == Mode::Fast ? SEMDNS_TAG_TOKM : SEMDNS_TAG_BYTM,
                                  fileOffset + at, "%s", problem);
  }
  }
}

size_t scratchOf(const TableSet &set) {
  switch (set.mode) {
  case Mode::Zstd:
    return zstdScratch(set.zstd);
  case Mode::Turbo:
    return turboScratch(set.phrases);
  default:
    return modelScratch(set.model, set.mode);
  }
}

/// Whether the tables were made ready for compression too.
bool canEncode(const TableSet &set) {
  switch (set.mode) {
  case Mode::Zstd:
    return set.ready && set.zstd.compress;
  case Mode::Turbo:
    return set.ready && set.phrases.index;
  default:
    return set.ready;
  }
}

size_t encode(const TableSet &set, const uint8_t *in, size_t n, uint8_t *out, size_t capacity,
              void *scratch) {
  switch (set.mode) {
  case Mode::Zstd:
    return zstdEncode(set.zstd, in, n, out, capacity, scratch);
  case Mode::Turbo:
    return turboEncode(set.phrases, in, n, out, capacity, scratch);
  default:
    return modelEncode(set.model, set.mode, in, n, out, capacity, scratch);
  }
}

bool decode(const TableSet &set, const uint8_t *in, size_t size, uint8_t *out, size_t n,
            void *scratch) {
  switch (set.mode) {
  case Mode::Zstd:
    return zstdDecode(set.zstd, in, size, out, n, scratch);
  case Mode::Turbo:
    return turboDecode(set.phrases, in, size, out, n, scratch);
  default:
    return modelDecode(set.model, set.mode, in, size, out, n, scratch);
  }
}

const TableSet *ownerOf(const semdns_codec &codec, uint32_t zone, Mode mode) {
  if (zone >= codec.zoneCount)
    return nullptr;
  const uint32_t index = codec.owner[size_t{zone} * kModes + static_cast<uint32_t>(mode)];
  return index == kNoTables ? nullptr : &codec.sets[index];
}

/// The tables that a frame names: its zone's, if the digest fits, else any that it fits.
const TableSet *tablesOf(const semdns_codec &codec, Mode mode, uint32_t zone, uint32_t prefix) {
  const TableSet *own = ownerOf(codec, zone, mode);
  if (own && own->ready && own->prefix == prefix)
    return own;
  for (uint32_t i = 0; i < codec.setCount; ++i)
    if (codec.sets[i].mode == mode && codec.sets[i].ready && codec.sets[i].prefix == prefix)
      return &codec.sets[i];
  return nullptr;
}

uint8_t *part(const semdns_codec &codec, void *scratch, Mode mode) {
  return static_cast<uint8_t *>(scratch) + codec.partAt[static_cast<uint32_t>(mode)];
}

bool load(semdns_codec &codec, const semdns_codec_options &options, Error &error) {
  const semdns_artifact &artifact = *codec.artifact;
  artifact::Reader reader;
  if (!reader.open(artifact.source.data(), artifact.source.size(), SEMDNS_KIND_HIERARCHY,
                   artifact::Check::Structure, error))
    return false;
  for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
    const semdns_section s = reader.entry(i);
    codec.setCount += modeOfTag(s.tag) != Mode::Raw && s.version == artifact::knownVersion(s.tag);
  }
  codec.zoneCount = artifact.zoneCount;
  codec.sets = static_cast<TableSet *>(calloc(codec.setCount + 1, sizeof(TableSet)));
  codec.owner =
      static_cast<uint32_t *>(malloc(size_t{codec.zoneCount} * kModes * sizeof(uint32_t)));
  if (!codec.sets || !codec.owner)
    return base::fail(error, SEMDNS_ERROR_MEMORY, 0, 0, "no memory for the codec's lists");
  memset(codec.owner, 0xff, size_t{codec.zoneCount} * kModes * sizeof(uint32_t));

  uint32_t next = 0;
  for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
    const semdns_section s = reader.entry(i);
    if (modeOfTag(s.tag) == Mode::Raw || s.version != artifact::knownVersion(s.tag))
      continue;
    TableSet &set = codec.sets[next];
    set.mode = modeOfTag(s.tag);
    set.zone = SEMDNS_CODEC_TARGET_ZONE(s.target);
    set.age = SEMDNS_CODEC_TARGET_AGE(s.target);
    set.bytes = reader.bytes(i).data;
    set.size = reader.bytes(i).size;
    memcpy(set.digest, s.sha256, sizeof set.digest);
    set.prefix = base::load<uint32_t>(s.sha256);
    if (!set.age)
      codec.owner[size_t{set.zone} * kModes + static_cast<uint32_t>(set.mode)] = next;
    ++next;
  }
  // Zones are in preorder: a parent's are settled before its children ask.
  for (uint32_t z = 1; z < codec.zoneCount; ++z)
    for (uint32_t m = 0; m < kModes; ++m)
      if (uint32_t &own = codec.owner[size_t{z} * kModes + m]; own == kNoTables)
        own = codec.owner[size_t{artifact.zones[z].parent} * kModes + m];

  const uint32_t modes = options.modes ? options.modes : kEveryMode;
  const int level = options.zstd_level ? options.zstd_level : kDefaultLevel;
  for (uint32_t i = 0, at = 0; i < codec.setCount; ++i, ++at) {
    TableSet &set = codec.sets[i];
    if (!(modes >> static_cast<uint32_t>(set.mode) & 1))
      continue;
    const bool wanted = !set.age && (options.zone == SEMDNS_CODEC_EVERY_ZONE ||
                                     ownerOf(codec, options.zone, set.mode) == &set);
    const auto offset = static_cast<uint64_t>(set.bytes - reader.data());
    if (!attach(set, wanted ? level : 0, offset, error))
      return false;
    set.ready = true;
    size_t &size = codec.partSize[static_cast<uint32_t>(set.mode)];
    const size_t needs = roundUp(scratchOf(set));
    size = needs > size ? needs : size;
  }
  codec.scratchSize = 2 * roundUp(kEdge);
  for (uint32_t m = 0; m < kModes; ++m) {
    codec.partAt[m] = codec.scratchSize;
    codec.scratchSize += codec.partSize[m];
  }
  return true;
}

// ---- Frames ----------------------------------------------------------------------------------

/// Tables to compress with; null with `status` set for none. Zone and mode must be settled.
const TableSet *choose(const semdns_codec &codec, const semdns_compress_options &options,
                       semdns_status &status, semdns_error *error) {
  const auto mode = static_cast<Mode>(options.mode);
  const TableSet *set = ownerOf(codec, options.zone, mode);
  status = SEMDNS_OK;
  if (!set)
    status = fail(error, SEMDNS_ERROR_TABLES, 0,
                  "neither zone %s nor one above it has tables of mode %s: mine its corpus, and "
                  "name the library in the spec (patterns:)",
                  codec.artifact->views[options.zone].name, semdns_codec_mode_text(options.mode));
  else if (!canEncode(*set))
    status = argument(error, "the codec was created for other zones or modes");
  return status == SEMDNS_OK ? set : nullptr;
}

bool validMode(uint32_t mode) { return mode <= SEMDNS_CODEC_MAX || mode == SEMDNS_CODEC_AUTO; }

const char *wrongOptions(const semdns_codec *codec, const semdns_compress_options *options) {
  if (!codec || !options || options->size < sizeof *options)
    return "codec and options must not be null, and options.size must be set";
  if (!validMode(options->mode) || options->reserved)
    return "unknown mode, or a reserved field that is not zero";
  if (options->zone != SEMDNS_CODEC_ZONE_AUTO && options->zone >= codec->zoneCount)
    return "no zone of this number";
  return nullptr;
}

/// The zone that routing gives `in`: the answer's if it has tables, else the best guess.
semdns_status routeZone(const semdns_codec &codec, semdns_compress_options &options,
                        const uint8_t *in, size_t n, semdns_error *error) {
  if (!options.resolver || !options.resolver_scratch)
    return argument(error, "zone AUTO needs a resolver and a scratch of its");
  semdns_query query{};
  query.size = sizeof query;
  query.text = reinterpret_cast<const char *>(in);
  query.text_size = n < kMaxBlock ? n : kMaxBlock;
  semdns_answer answer{};
  answer.size = sizeof answer;
  const semdns_status status =
      semdns_resolve(options.resolver, options.resolver_scratch, &query, &answer);
  if (status != SEMDNS_OK)
    return fail(error, status, 0, "the text could not be routed");
  if (memcmp(answer.digest, codec.artifact->digest, 32) != 0)
    return argument(error, "the resolver serves another artifact than the codec's");
  options.zone = answer.zone.index;
  const auto hasTables = [&](uint32_t zone) {
    for (uint32_t m = 1; m < kModes; ++m)
      if ((options.mode == SEMDNS_CODEC_AUTO || options.mode == m) &&
          ownerOf(codec, zone, static_cast<Mode>(m)))
        return true;
    return false;
  };
  if (!hasTables(options.zone)) {
    options.zone = answer.best.index;
    if (!hasTables(options.zone))
      options.mode = SEMDNS_CODEC_RAW; // no library knows such a text
  }
  return SEMDNS_OK;
}

void chooseMode(const semdns_codec &codec, uint8_t *scratch, semdns_compress_options &options,
                const uint8_t *in, size_t n) {
  n = n < kSample ? n : kSample;
  size_t best = n;
  options.mode = SEMDNS_CODEC_RAW;
  // The cheaper mode wins a tie.
  for (const Mode mode : {Mode::Turbo, Mode::Zstd, Mode::Fast}) {
    const TableSet *set = ownerOf(codec, options.zone, mode);
    if (!set || !canEncode(*set))
      continue;
    const size_t size = encode(*set, in, n, scratch, best, part(codec, scratch, mode));
    if (size && size < best) {
      best = size;
      options.mode = static_cast<uint32_t>(mode);
    }
  }
}

semdns_status settle(const semdns_codec &codec, uint8_t *scratch, semdns_compress_options &options,
                     const uint8_t *in, size_t n, semdns_error *error) {
  if (options.zone == SEMDNS_CODEC_ZONE_AUTO)
    if (const semdns_status status = routeZone(codec, options, in, n, error))
      return status;
  if (options.mode == SEMDNS_CODEC_AUTO)
    chooseMode(codec, scratch, options, in, n);
  return SEMDNS_OK;
}

FrameHeader headerOf(const TableSet &set, const semdns_compress_options &options) {
  FrameHeader header;
  header.mode = set.mode;
  header.zone = options.zone;
  header.tables = set.prefix;
  return header;
}

/// One block with its header; 0 if it does not fit.
size_t encodeBlock(const semdns_codec &codec, const TableSet &set, uint8_t *scratch,
                   const uint8_t *in, size_t n, bool last, uint8_t *out, size_t capacity) {
  uint8_t bytes[SEMDNS_CODEC_BLOCK_OVERHEAD];
  BlockHeader header;
  header.last = last;
  header.length = static_cast<uint32_t>(n);
  // The payload's place depends on its header's size: leave room for the largest, then close up.
  size_t stored = 0;
  if (n && capacity > sizeof bytes) {
    const size_t room = capacity - sizeof bytes;
    stored = encode(set, in, n, out + sizeof bytes, room < n - 1 ? room : n - 1,
                    part(codec, scratch, set.mode));
  }
  header.raw = stored == 0;
  header.stored = static_cast<uint32_t>(header.raw ? n : stored);
  const size_t size = writeBlockHeader(header, bytes);
  if (header.stored > capacity || size > capacity - header.stored)
    return 0;
  if (header.raw && n)
    memcpy(out + size, in, n);
  else if (n)
    memmove(out + size, out + sizeof bytes, stored);
  memcpy(out, bytes, size);
  return size + header.stored;
}

/// A frame smaller than raw, or 0.
size_t encodeFrame(const semdns_codec &codec, const TableSet &set, uint8_t *scratch,
                   const semdns_compress_options &options, const uint8_t *in, size_t n,
                   uint8_t *out, size_t capacity) {
  capacity = capacity < n ? capacity : n; // raw takes n + 1
  uint8_t bytes[SEMDNS_CODEC_MAX_HEADER];
  FrameHeader header = headerOf(set, options);
  header.blocked = n > kMaxBlock;
  header.length = header.blocked ? 0 : static_cast<uint32_t>(n);
  size_t at = writeFrameHeader(header, bytes);
  if (at >= capacity)
    return 0;
  memcpy(out, bytes, at);
  if (!header.blocked) {
    const size_t size = encode(set, in, n, out + at, capacity - at, part(codec, scratch, set.mode));
    return size ? at + size : 0;
  }
  for (size_t from = 0; from < n; from += kMaxBlock) {
    const size_t rest = n - from, take = rest < kMaxBlock ? rest : kMaxBlock;
    const size_t size =
        encodeBlock(codec, set, scratch, in + from, take, take == rest, out + at, capacity - at);
    if (!size)
      return 0;
    at += size;
  }
  return at;
}

semdns_status unknownTables(const semdns_codec &codec, Mode mode, uint32_t zone, uint32_t prefix,
                            semdns_error *error) {
  return fail(
      error, SEMDNS_ERROR_TABLES, 0,
      "the frame needs the tables %02x%02x%02x%02x of mode %s (zone %u of its sender), which "
      "artifact %.8s... does not have: use the artifact that it was compressed with, or "
      "one built with --keep-codecs of it",
      prefix & 255, prefix >> 8 & 255, prefix >> 16 & 255, prefix >> 24,
      semdns_codec_mode_text(static_cast<uint32_t>(mode)), zone, codec.artifact->digestHex);
}

/// What a frame holds, block by block.
struct Walk {
  const uint8_t *in;
  size_t size;
  size_t at;
  FrameHeader header;

  /// The next block; false with `problem` set where the frame is damaged.
  bool next(BlockHeader &block, const char *&problem) {
    problem = readBlockHeader(in + at, size - at, block);
    if (!problem && block.stored > size - at - block.size)
      problem = "a block is cut off";
    if (!problem && block.last && at + block.size + block.stored != size)
      problem = "bytes behind the last block";
    if (problem)
      return false;
    at += block.size;
    return true;
  }
};

semdns_status openFrame(const void *frame, size_t size, Walk &walk, semdns_error *error) {
  if (!frame && size)
    return argument(error, "frame must not be null");
  walk = {static_cast<const uint8_t *>(frame), size, 0, {}};
  if (const char *problem = readFrameHeader(walk.in, size, walk.header))
    return damaged(error, 0, problem);
  walk.at = walk.header.size;
  return SEMDNS_OK;
}

/// The length of the text and how many blocks it is in; checks their headers.
semdns_status measure(Walk walk, uint64_t &length, uint32_t &blocks, semdns_error *error) {
  length = walk.header.mode == Mode::Raw ? walk.size - 1 : walk.header.length;
  blocks = 0;
  if (!walk.header.blocked)
    return SEMDNS_OK;
  BlockHeader block;
  do {
    const char *problem;
    if (!walk.next(block, problem))
      return damaged(error, walk.at, problem);
    walk.at += block.stored;
    length += block.length;
    ++blocks;
  } while (!block.last);
  return SEMDNS_OK;
}

semdns_status decodeFrame(const semdns_codec &codec, uint8_t *scratch, const void *frame,
                          size_t size, uint64_t begin, uint64_t end, uint8_t *out, size_t capacity,
                          size_t *written, semdns_error *error) {
  Walk walk;
  uint64_t length;
  uint32_t blocks;
  if (const semdns_status status = openFrame(frame, size, walk, error))
    return status;
  if (const semdns_status status = measure(walk, length, blocks, error))
    return status;
  end = end < length ? end : length;
  begin = begin < end ? begin : end;
  if (end - begin > capacity)
    return fail(error, SEMDNS_ERROR_CAPACITY, 0, "%llu bytes, and room for %zu",
                static_cast<unsigned long long>(end - begin), capacity);
  *written = 0;
  const FrameHeader &header = walk.header;
  if (header.mode == Mode::Raw) {
    if (end > begin)
      memcpy(out, walk.in + 1 + begin, end - begin);
    *written = end - begin;
    return SEMDNS_OK;
  }
  const TableSet *set = tablesOf(codec, header.mode, header.zone, header.tables);
  if (!set)
    return unknownTables(codec, header.mode, header.zone, header.tables, error);

  uint64_t from = 0; // of the block at hand
  BlockHeader block;
  do {
    if (header.blocked) {
      const char *problem;
      walk.next(block, problem); // measured above
    } else {
      block.stored = static_cast<uint32_t>(size - walk.at);
      block.length = header.length;
      block.last = true;
    }
    const uint64_t to = from + block.length;
    const uint64_t a = begin > from ? begin : from, b = end < to ? end : to;
    if (a < b) {
      const bool whole = a == from && b == to;
      const uint8_t *payload = walk.in + walk.at;
      uint8_t *target = out + (a - begin);
      if (block.raw) {
        memcpy(target, payload + (a - from), b - a);
      } else {
        uint8_t *text = whole ? target : scratch;
        if (!decode(*set, payload, block.stored, text, block.length,
                    part(codec, scratch, header.mode)))
          return damaged(error, walk.at, "the payload is damaged");
        if (!whole)
          memcpy(target, text + (a - from), b - a);
      }
      *written += b - a;
    }
    walk.at += block.stored;
    from = to;
  } while (!block.last && from < end);
  return SEMDNS_OK;
}

} // namespace
} // namespace semdns::codec

using namespace semdns::codec;

extern "C" {

const char *semdns_codec_mode_text(uint32_t mode) {
  switch (mode) {
  case SEMDNS_CODEC_RAW:
    return "raw";
  case SEMDNS_CODEC_ZSTD:
    return "zstd";
  case SEMDNS_CODEC_TURBO:
    return "turbo";
  case SEMDNS_CODEC_FAST:
    return "fast";
  case SEMDNS_CODEC_MAX:
    return "max";
  case SEMDNS_CODEC_AUTO:
    return "auto";
  default:
    return "unknown";
  }
}

semdns_status semdns_codec_create(semdns_artifact *artifact, const semdns_codec_options *options,
                                  semdns_codec **out, semdns_error *error) {
  if (!out)
    return argument(error, "out must not be null");
  *out = nullptr;
  semdns_codec_options wanted{};
  wanted.zone = SEMDNS_CODEC_EVERY_ZONE;
  if (options) {
    if (options->size < sizeof *options)
      return argument(error, "options.size is too small");
    wanted = *options;
  }
  if (!artifact)
    return argument(error, "artifact must not be null");
  if (wanted.zone != SEMDNS_CODEC_EVERY_ZONE && wanted.zone >= artifact->zoneCount)
    return argument(error, "no zone of this number");
  if (wanted.zstd_level < 0 || wanted.zstd_level > 19)
    return argument(error, "zstd_level is 1 to 19, or 0 for the default");
  auto *codec = static_cast<semdns_codec *>(calloc(1, sizeof(semdns_codec)));
  if (!codec)
    return fail(error, SEMDNS_ERROR_MEMORY, 0, "no memory for a codec");
  codec->artifact = semdns_artifact_retain(artifact);
  Error e{};
  if (!load(*codec, wanted, e)) {
    semdns_codec_destroy(codec);
    return report(error, e);
  }
  *out = codec;
  return SEMDNS_OK;
}

void semdns_codec_destroy(semdns_codec *codec) {
  if (!codec)
    return;
  for (uint32_t i = 0; codec->sets && i < codec->setCount; ++i) {
    releaseZstd(codec->sets[i].zstd);
    closeTurboIndex(codec->sets[i].phrases.index);
  }
  free(codec->sets);
  free(codec->owner);
  semdns_artifact_release(codec->artifact);
  free(codec);
}

size_t semdns_codec_scratch_size(const semdns_codec *codec) {
  return codec ? codec->scratchSize : 0;
}

semdns_status semdns_codec_get_tables(const semdns_codec *codec, uint32_t zone, uint32_t mode,
                                      semdns_codec_tables *tables) {
  if (!codec || !tables || tables->size < sizeof *tables || zone >= codec->zoneCount ||
      mode >= kModes)
    return SEMDNS_ERROR_ARGUMENT;
  const TableSet *set = ownerOf(*codec, zone, static_cast<Mode>(mode));
  if (!set)
    return SEMDNS_ERROR_TABLES;
  tables->zone = set->zone;
  tables->mode = mode;
  tables->reserved = 0;
  tables->bytes = set->size;
  tables->scratch = set->ready ? scratchOf(*set) : 0;
  memcpy(tables->digest, set->digest, sizeof tables->digest);
  return SEMDNS_OK;
}

size_t semdns_codec_bound(size_t size) { return size + 1; }

semdns_status semdns_compress_settle(const semdns_codec *codec, void *scratch,
                                     semdns_compress_options *options, const void *in, size_t n,
                                     semdns_error *error) {
  if (const char *wrong = wrongOptions(codec, options))
    return argument(error, wrong);
  if (!scratch || (!in && n))
    return argument(error, "scratch and input must not be null");
  return settle(*codec, static_cast<uint8_t *>(scratch), *options, static_cast<const uint8_t *>(in),
                n, error);
}

semdns_status semdns_compress(const semdns_codec *codec, void *scratch,
                              const semdns_compress_options *options, const void *in, size_t n,
                              void *out, size_t capacity, size_t *written, semdns_error *error) {
  if (const char *wrong = wrongOptions(codec, options))
    return argument(error, wrong);
  if (!scratch || (!in && n) || !written || (!out && capacity))
    return argument(error, "scratch, input, output and `written` must not be null");
  *written = 0;
  semdns_compress_options how = *options;
  auto *work = static_cast<uint8_t *>(scratch);
  const auto *text = static_cast<const uint8_t *>(in);
  auto *frame = static_cast<uint8_t *>(out);
  if (const semdns_status status = settle(*codec, work, how, text, n, error))
    return status;
  size_t size = 0;
  if (how.mode != SEMDNS_CODEC_RAW) {
    semdns_status status;
    const TableSet *set = choose(*codec, how, status, error);
    if (!set)
      return status;
    if (n)
      size = encodeFrame(*codec, *set, work, how, text, n, frame, capacity);
  }
  if (!size) {
    if (capacity <= n)
      return fail(error, SEMDNS_ERROR_CAPACITY, 0,
                  "the frame does not fit in %zu bytes; semdns_codec_bound gives what suffices",
                  capacity);
    frame[0] = static_cast<uint8_t>(kFrameVersion << 4);
    if (n)
      memmove(frame + 1, text, n);
    size = n + 1;
  }
  *written = size;
  return SEMDNS_OK;
}

semdns_status semdns_frame_get_info(const void *frame, size_t size, semdns_frame_info *info,
                                    semdns_error *error) {
  if (!info || info->size < sizeof *info)
    return argument(error, "info must not be null, and info.size must be set");
  Walk walk;
  uint64_t length;
  uint32_t blocks;
  if (const semdns_status status = openFrame(frame, size, walk, error))
    return status;
  if (const semdns_status status = measure(walk, length, blocks, error))
    return status;
  info->mode = static_cast<uint32_t>(walk.header.mode);
  info->zone = walk.header.zone;
  info->tables = walk.header.tables;
  info->header_size = walk.header.size;
  info->blocks = blocks;
  info->length = length;
  return SEMDNS_OK;
}

semdns_status semdns_decompress(const semdns_codec *codec, void *scratch, const void *frame,
                                size_t size, void *out, size_t capacity, size_t *written,
                                semdns_error *error) {
  return semdns_decompress_range(codec, scratch, frame, size, 0, UINT64_MAX, out, capacity, written,
                                 error);
}

semdns_status semdns_decompress_range(const semdns_codec *codec, void *scratch, const void *frame,
                                      size_t size, uint64_t begin, uint64_t end, void *out,
                                      size_t capacity, size_t *written, semdns_error *error) {
  if (!codec || !scratch || !written || (!out && capacity))
    return argument(error, "codec, scratch, output and `written` must not be null");
  *written = 0;
  const semdns_status status =
      decodeFrame(*codec, static_cast<uint8_t *>(scratch), frame, size, begin, end,
                  static_cast<uint8_t *>(out), capacity, written, error);
  if (status != SEMDNS_OK)
    *written = 0;
  return status;
}

semdns_status semdns_stream_begin(const semdns_codec *codec, const semdns_compress_options *options,
                                  void *out, size_t capacity, size_t *written,
                                  semdns_error *error) {
  if (const char *wrong = wrongOptions(codec, options))
    return argument(error, wrong);
  if (options->zone == SEMDNS_CODEC_ZONE_AUTO || options->mode == SEMDNS_CODEC_AUTO)
    return argument(error, "zone and mode of a stream must be settled first");
  if (!out || !written || capacity < SEMDNS_CODEC_MAX_HEADER)
    return argument(error, "a header takes up to SEMDNS_CODEC_MAX_HEADER bytes");
  if (options->mode == SEMDNS_CODEC_RAW) {
    *static_cast<uint8_t *>(out) = static_cast<uint8_t>(kFrameVersion << 4);
    *written = 1;
    return SEMDNS_OK;
  }
  semdns_status status;
  const TableSet *set = choose(*codec, *options, status, error);
  if (!set)
    return status;
  FrameHeader header = headerOf(*set, *options);
  header.blocked = true;
  *written = writeFrameHeader(header, static_cast<uint8_t *>(out));
  return SEMDNS_OK;
}

semdns_status semdns_stream_block(const semdns_codec *codec, void *scratch,
                                  const semdns_compress_options *options, const void *in, size_t n,
                                  int last, void *out, size_t capacity, size_t *written,
                                  semdns_error *error) {
  if (const char *wrong = wrongOptions(codec, options))
    return argument(error, wrong);
  if (!scratch || !written || (!in && n) || !out || n > kMaxBlock || (n < kMaxBlock && !last) ||
      capacity < n + SEMDNS_CODEC_BLOCK_OVERHEAD)
    return argument(error,
                    "a block has SEMDNS_CODEC_MAX_BLOCK bytes (the last one fewer) and needs "
                    "SEMDNS_CODEC_BLOCK_OVERHEAD bytes more for its output");
  if (options->mode == SEMDNS_CODEC_RAW) { // a raw frame has no blocks: its bytes follow each other
    if (n)
      memcpy(out, in, n);
    *written = n;
    return SEMDNS_OK;
  }
  semdns_status status;
  const TableSet *set = choose(*codec, *options, status, error);
  if (!set)
    return status;
  *written =
      encodeBlock(*codec, *set, static_cast<uint8_t *>(scratch), static_cast<const uint8_t *>(in),
                  n, last != 0, static_cast<uint8_t *>(out), capacity);
  return SEMDNS_OK;
}

semdns_status semdns_stream_read_header(const void *frame, size_t size,
                                        semdns_stream_header *header, semdns_error *error) {
  if (!header || header->size < sizeof *header)
    return argument(error, "header must not be null, and header.size must be set");
  Walk walk;
  if (const semdns_status status = openFrame(frame, size, walk, error))
    return status;
  header->mode = static_cast<uint32_t>(walk.header.mode);
  header->zone = walk.header.zone;
  header->tables = walk.header.tables;
  header->header_size = walk.header.size;
  header->blocked = walk.header.blocked;
  return SEMDNS_OK;
}

semdns_status semdns_stream_read_block(const void *at, size_t size, semdns_stream_block_info *block,
                                       semdns_error *error) {
  if (!block || block->size < sizeof *block || (!at && size))
    return argument(error, "block must not be null, and block.size must be set");
  BlockHeader header;
  if (const char *problem = readBlockHeader(static_cast<const uint8_t *>(at), size, header))
    return damaged(error, 0, problem);
  block->raw = header.raw;
  block->last = header.last;
  block->header_size = header.size;
  block->stored = header.stored;
  block->length = header.length;
  return SEMDNS_OK;
}

semdns_status semdns_stream_decode(const semdns_codec *codec, void *scratch,
                                   const semdns_stream_header *header,
                                   const semdns_stream_block_info *block, const void *payload,
                                   void *out, semdns_error *error) {
  if (!codec || !scratch || !header || header->size < sizeof *header || !block ||
      block->size < sizeof *block || (!payload && block->stored) || (!out && block->length))
    return argument(error, "no argument may be null");
  if (block->length > kMaxBlock || header->mode >= kModes)
    return argument(error, "not what semdns_stream_read_header and _read_block gave");
  if (block->raw) {
    if (block->stored != block->length)
      return argument(error, "a raw block's sizes differ");
    if (block->length)
      memcpy(out, payload, block->length);
    return SEMDNS_OK;
  }
  const TableSet *set =
      tablesOf(*codec, static_cast<Mode>(header->mode), header->zone, header->tables);
  if (!set)
    return unknownTables(*codec, static_cast<Mode>(header->mode), header->zone, header->tables,
                         error);
  if (!decode(*set, static_cast<const uint8_t *>(payload), block->stored,
              static_cast<uint8_t *>(out), block->length,
              part(*codec, scratch, static_cast<Mode>(header->mode))))
    return damaged(error, 0, "the block's payload is damaged");
  return SEMDNS_OK;
}

} // extern "C"
