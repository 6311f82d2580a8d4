/* ZTRE: the zone tree, the engines and their names.
 *
 *     semdns_ztre_header
 *     semdns_zone[zone_count]              in preorder; zone 0 is the root; siblings sorted by label
 *     semdns_engine[engine_count]          sorted by name
 *     semdns_engine_ref[engine_ref_count]  grouped by zone, in order of preference
 *     char strings[string_bytes]           UTF-8, referred to by (offset, size); no terminators
 *
 * each array directly behind the one before (all records are multiples of 8 bytes), the section
 * zero-padded by nothing. Strings of a zone: `name` is the DNS name, leaf first, with final dot
 * ("contracts.legal."; root "."), `path` the root-to-leaf labels in their original spelling joined
 * by '/' ("legal/contracts"; root "/"). */
#ifndef SEMDNS_FORMAT_ZONES_H
#define SEMDNS_FORMAT_ZONES_H

#include "semdns/format/artifact.h"

#define SEMDNS_ZTRE_VERSION 2u
#define SEMDNS_MAX_ZONES 131072u
#define SEMDNS_MAX_CLASSES SEMDNS_MAX_ZONES
#define SEMDNS_MAX_FLAT_CLASSES 16384u /* without BEAM: the 32-bit sum of 16-bit class weights */
#define SEMDNS_MAX_DEPTH 16u      /* labels below the root */
#define SEMDNS_MAX_ENGINES 4096u
#define SEMDNS_NONE 0xffffffffu

#define SEMDNS_ZONE_RESTRICTED 1u /* never answered from a stale entry (reserved) */
#define SEMDNS_ZONE_SHAREABLE 2u  /* cache entries may be shared between scopes */

typedef struct semdns_ztre_header {
  uint32_t zone_count;       /* 1..SEMDNS_MAX_ZONES */
  uint32_t class_count;      /* 0..SEMDNS_MAX_CLASSES; equals CLSF's */
  uint32_t engine_count;     /* 0..SEMDNS_MAX_ENGINES */
  uint32_t engine_ref_count; /* sum of the zones' engine_count */
  uint32_t string_bytes;
  uint32_t reserved[3]; /* zero */
} semdns_ztre_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_ztre_header) == 32);

typedef struct semdns_zone {
  uint32_t parent;       /* index below this one's; SEMDNS_NONE for the root */
  uint32_t depth;        /* 0 for the root, else parent's + 1, at most SEMDNS_MAX_DEPTH */
  uint32_t subtree_end;  /* one past the last zone of the subtree (preorder) */
  uint32_t class_begin;  /* classes of the subtree: [class_begin, class_end), consecutive because */
  uint32_t class_end;    /*   classes are numbered in the zones' preorder */
  uint32_t own_class;    /* the class of this very zone, or SEMDNS_NONE; == class_begin if present */
  uint32_t reserved0;    /* zero; thresholds are CLSF's, so that recalibration leaves ZTRE alone */
  uint32_t ttl;          /* seconds, at most 86400; inherited ones are resolved at build time */
  uint32_t flags;        /* SEMDNS_ZONE_* */
  uint32_t engine_begin; /* first of this zone's engine refs */
  uint32_t engine_count;
  uint32_t name_offset, name_size;
  uint32_t path_offset, path_size;
  uint32_t reserved; /* zero */
} semdns_zone;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_zone) == 64);

enum semdns_tier {
  SEMDNS_TIER_ROOT = 0,
  SEMDNS_TIER_DOMAIN = 1,
  SEMDNS_TIER_SUBDOMAIN = 2,
  SEMDNS_TIER_SPECIALIST = 3,
};

typedef struct semdns_engine {
  uint32_t name_offset, name_size;
  uint32_t region_offset, region_size;
  uint32_t tier;               /* semdns_tier */
  uint32_t max_context;        /* tokens; 0 = not stated */
  uint64_t cost_per_mtok_nano; /* cost per million tokens, in 1e-9 currency units */
} semdns_engine;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_engine) == 32);

typedef struct semdns_engine_ref {
  uint32_t engine;
  uint32_t weight; /* relative, at least 1 */
} semdns_engine_ref;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_engine_ref) == 8);

#endif /* SEMDNS_FORMAT_ZONES_H */
