/// \file What `semdns_artifact` is: validated sections in memory, a kernel, and the strings and
/// lists of the ABI prepared once, so that answering copies pointers only.
#pragma once

#include "runtime/artifact/encoder.h"
#include "runtime/artifact/source.h"
#include "runtime/exec/head.h"
#include "runtime/exec/kernel.h"
#include "semdns/format/zones.h"
#include "semdns/semdns.h"

namespace semdns::resolve {

/// A zone as answers show it.
struct ZoneView {
  const char *name;
  const char *path;
  const semdns_engine_choice *engines; ///< own ones, else the nearest ancestor's; best first
  uint32_t engineCount;
};

/// More than there are CPU levels to name.
inline constexpr uint32_t kMaxIsas = 32;

struct MetaView {
  const char *key;
  const char *value;
};

} // namespace semdns::resolve

/// Immutable after opening; shared by reference count.
struct semdns_artifact {
  uint32_t references = 1; ///< atomic
  semdns::artifact::Source source;
  semdns::exec::Kernel kernel;
  semdns_kernel_tables tables = {};

  uint64_t serial = 0, fileSize = 0;
  uint8_t digest[32] = {};
  char digestHex[65] = "";
  const char *name = "";

  uint32_t zoneCount = 0, classCount = 0, engineCount = 0, metaCount = 0;
  uint32_t stages = 0;                               ///< SEMDNS_STAGE_* that this artifact has
  uint32_t dim = 0, scoreCount = 0, weightCount = 0; ///< of the scratch's arrays
  bool foldsAscii = false;   ///< no stage tells ASCII's cases or its kinds and runs of spaces apart
  bool anyShareable = false; ///< a zone whose decisions scopes may share
  semdns::artifact::Encoder encoder;              ///< stage 3; empty without one
  const uint8_t *wpce = nullptr, *head = nullptr; ///< its other sections
  semdns_kernel_encode_fn encode = nullptr;       ///< null without stage 3
  const semdns_zone *zones = nullptr;             ///< in the section
  semdns::resolve::ZoneView *views = nullptr;     ///< [zoneCount]
  semdns_engine_choice *choices = nullptr;        ///< [engine refs], by zone, best first
  uint32_t *byName = nullptr,
           *byPath = nullptr;                ///< [zoneCount] zone numbers sorted by name, by path
  semdns::resolve::MetaView *meta = nullptr; ///< [metaCount] sorted by key
  char *strings = nullptr;                   ///< what all of these point to, NUL-terminated

  const char *isas[semdns::resolve::kMaxIsas] =
      {}; ///< names of the levels inside, "portable" first
  uint32_t isaCount = 0;
};

namespace semdns::resolve {

/// Where stages work.
struct Work {
  semdns_kernel_scratch kernel;
  exec::HeadScratch head;   ///< null without stage 3, as is
  uint8_t *arena = nullptr; ///< the encoder's
};

/// Bytes of working memory that the stages need for this artifact, a multiple of 64.
uint64_t workSize(const semdns_artifact &artifact);

/// Bytes that semdns_scratch_init needs: workSize and the scratch itself.
size_t scratchSize(const semdns_artifact &artifact);

/// Points `work` into `memory` (64-byte aligned, workSize bytes) and clears the votes.
void layOut(const semdns_artifact &artifact, uint8_t *memory, Work &work);

/// The artifact that the scratch's last call used; the reference is the scratch's.
semdns_artifact *artifactOf(const semdns_scratch &scratch);

/// Lets the scratch follow its resolver's last swap, as each call that is given it does first.
semdns_status enter(semdns_resolver *resolver, semdns_scratch *scratch);

/// Whether the resolver has it at this moment.
bool isCurrent(const semdns_resolver &resolver, const semdns_artifact *artifact);

/// The answer that names `zone` without asking any stage.
void answerWith(const semdns_artifact &artifact, uint32_t zone, uint32_t status, uint32_t reason,
                semdns_answer &answer);

/// The hashes of the words that stage 1 reads in text[0, size) (include/semdns/format/features.h),
/// in the scratch until its next call; returns how many. At most SEMDNS_HEAD_BYTES +
/// SEMDNS_TAIL_BYTES bytes are read. After enter().
uint32_t wordsOf(const semdns_scratch &scratch, const char *text, size_t size,
                 const uint64_t *&words);
/// The same for any artifact's rules; `words` and `features` have SEMDNS_MAX_WORDS entries.
uint32_t wordsOf(const semdns_artifact &artifact, const char *text, size_t size, uint64_t *words,
                 uint64_t *features);

/// Fills `error` where the caller passed one; returns `code`.
semdns_status fail(semdns_error *error, semdns_status code, const char *message);

} // namespace semdns::resolve
