/* META: provenance. Key/value strings, sorted by key (bytewise), keys unique and not empty.
 *
 *     semdns_meta_header, then `count` x { u32 key_size, u32 value_size, key bytes, value bytes }
 *
 * with no padding between pairs. Keys and values are UTF-8 without NUL. Keys in use:
 * `name` `tool.version` `tool.llvm` `targets` `spec.sha256` `input.<role>.<name>.sha256`
 * `train.*` `calibration.*` `kernel.abi` `licence.<source>`. No times, hosts or paths: the same
 * inputs give the same bytes. */
#ifndef SEMDNS_FORMAT_META_H
#define SEMDNS_FORMAT_META_H

#include "semdns/format/artifact.h"

#define SEMDNS_META_VERSION 1u
#define SEMDNS_META_MAX_PAIRS 4096u
#define SEMDNS_META_MAX_STRING 65536u

typedef struct semdns_meta_header {
  uint32_t count; /* at most SEMDNS_META_MAX_PAIRS */
  uint32_t bytes; /* of all pairs together; header + bytes == section size */
} semdns_meta_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_meta_header) == 8);

typedef struct semdns_meta_pair {
  uint32_t key_size;   /* 1..SEMDNS_META_MAX_STRING */
  uint32_t value_size; /* 0..SEMDNS_META_MAX_STRING */
} semdns_meta_pair;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_meta_pair) == 8);

#endif /* SEMDNS_FORMAT_META_H */
