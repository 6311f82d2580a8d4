/* The container of every semdns file (.sdna artifacts, .plib pattern libraries): fixed header,
 * section table, sections. docs/format.md is the prose twin of this header, with a hexdump.
 *
 * All integers are little-endian. Structures are plain data with no padding; their sizes are
 * asserted. One writer (lib/pack/writer.h) and one validating reader (runtime/artifact/reader.h)
 * exist; nothing else interprets these bytes.
 *
 * Layout of a file:
 *
 *     0                header, `header_size` bytes (128 in this version; later minors may grow it)
 *     table_offset     `section_count` entries of `entry_size` bytes, sorted by offset
 *     ...              sections, each aligned to its own `alignment` (64; code 65536)
 *
 * Sections are contiguous: each starts at the end of the one before (the first: of the table),
 * rounded up to its alignment. The file ends at the end of the last section rounded up to 64.
 * Every byte that belongs to no structure is zero, and the reader checks that, so no bit of the
 * file is without cover: header and table by the root digest, sections by theirs, padding by zero.
 */
#ifndef SEMDNS_FORMAT_ARTIFACT_H
#define SEMDNS_FORMAT_ARTIFACT_H

#include <stdint.h>

#ifdef __cplusplus
#define SEMDNS_FORMAT_ASSERT(cond) static_assert(cond, #cond)
#else
#define SEMDNS_FORMAT_ASSERT(cond) _Static_assert(cond, #cond)
#endif

/* PNG's trick: a CR LF, a ^Z and an LF show at once what a text-mode transfer has done. */
#define SEMDNS_MAGIC "SDNA\r\n\x1a\n"
#define SEMDNS_MAGIC_SIZE 8

#define SEMDNS_FORMAT_MAJOR 1 /* another major: refused (exit 4) */
#define SEMDNS_FORMAT_MINOR 0 /* a later minor is read; what it adds must be skippable */

/* Limits, checked before anything is allocated. */
#define SEMDNS_MAX_FILE_SIZE (UINT64_C(1) << 36) /* 64 GiB */
#define SEMDNS_MAX_SECTIONS 4096u /* codec tables: one a zone and mode */
#define SEMDNS_MAX_HEADER_SIZE 4096u
#define SEMDNS_MAX_RAW_SIZE (UINT64_C(1) << 32) /* decompressed size of a compressed section */
#define SEMDNS_SECTION_ALIGN 64u
#define SEMDNS_CODE_ALIGN 65536u
#define SEMDNS_DIGEST_SIZE 32

enum semdns_artifact_kind {
  SEMDNS_KIND_HIERARCHY = 1, /* .sdna */
  SEMDNS_KIND_PATTERNS = 2,  /* .plib */
};

/* Bits of semdns_header.required_features. A reader that does not know a set bit refuses the file. */
#define SEMDNS_FEATURE_NONE UINT64_C(0)
#define SEMDNS_FEATURES_KNOWN UINT64_C(0)

typedef struct semdns_header {
  uint8_t magic[8];           /*   0  SEMDNS_MAGIC */
  uint16_t major;             /*   8 */
  uint16_t minor;             /*  10 */
  uint32_t header_size;       /*  12  128; a multiple of 64, at most SEMDNS_MAX_HEADER_SIZE */
  uint32_t kind;              /*  16  semdns_artifact_kind */
  uint32_t entry_size;        /*  20  96; a multiple of 32, at most 512 */
  uint64_t required_features; /*  24 */
  uint64_t file_size;         /*  32  equals the size of the file */
  uint64_t table_offset;      /*  40  equals header_size */
  uint32_t section_count;     /*  48  1..SEMDNS_MAX_SECTIONS */
  uint32_t reserved0;         /*  52  zero */
  uint64_t serial;            /*  56  content serial, from the spec or --serial */
  uint8_t root_digest[32];    /*  64  SHA-256 of header (this field zeroed) and table */
  uint8_t reserved1[32];      /*  96  zero */
} semdns_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_header) == 128);

/* Section flags. Unknown flags are refused. */
#define SEMDNS_SECTION_CRITICAL 1u /* a reader that does not know the tag must refuse the file */
#define SEMDNS_SECTION_ZSTD 2u     /* stored as one zstd frame; never on sections used in place */
#define SEMDNS_SECTION_CODE 4u     /* native code: mapped executable, alignment 65536 */
#define SEMDNS_SECTION_FLAGS_KNOWN 7u

typedef struct semdns_section {
  uint32_t tag;         /*  0  SEMDNS_TAG_*: four ASCII letters, first letter in the low byte */
  uint32_t flags;       /*  4  SEMDNS_SECTION_* */
  uint32_t target;      /*  8  KCPU: semdns_isa; KGPU: 0 PTX, else the sm number; others 0 */
  uint32_t version;     /* 12  version of the section's own layout */
  uint64_t offset;      /* 16  from the start of the file, a multiple of `alignment` */
  uint64_t stored_size; /* 24  bytes in the file, at least 1 */
  uint64_t raw_size;    /* 32  bytes after decompression; equals stored_size when not compressed */
  uint64_t layout;      /* 40  code: id of the table layout it expects (CENT's `layout`); others 0 */
  uint8_t sha256[32];   /* 48  of the stored bytes */
  uint32_t alignment;   /* 80  64 or 65536 */
  uint32_t reserved0;   /* 84  zero */
  uint64_t reserved1;   /* 88  zero */
} semdns_section;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_section) == 96);

#define SEMDNS_TAG(a, b, c, d)                                                                     \
  ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* (tag, target) is unique in a file. Sections are written in this order. */
#define SEMDNS_TAG_META SEMDNS_TAG('M', 'E', 'T', 'A') /* key/values, format/meta.h */
#define SEMDNS_TAG_ZTRE SEMDNS_TAG('Z', 'T', 'R', 'E') /* zone tree and engines, format/zones.h */
#define SEMDNS_TAG_TEXT SEMDNS_TAG('T', 'E', 'X', 'T') /* frozen Unicode tables, format/text.h */
#define SEMDNS_TAG_KEYW SEMDNS_TAG('K', 'E', 'Y', 'W') /* stage 1: keyword automaton, format/keywords.h */
#define SEMDNS_TAG_TOKV SEMDNS_TAG('T', 'O', 'K', 'V') /* stage 2: feature vectors, format/features.h */
#define SEMDNS_TAG_CENT SEMDNS_TAG('C', 'E', 'N', 'T') /* stage 2: class vectors, format/classes.h */
#define SEMDNS_TAG_BEAM SEMDNS_TAG('B', 'E', 'A', 'M') /* stage 2: search tree, format/beam.h */
#define SEMDNS_TAG_WPCE SEMDNS_TAG('W', 'P', 'C', 'E') /* stage 3: tokeniser, format/wordpiece.h */
#define SEMDNS_TAG_ENCM SEMDNS_TAG('E', 'N', 'C', 'M') /* stage 3: encoder, format/encoder.h */
#define SEMDNS_TAG_CLSF SEMDNS_TAG('C', 'L', 'S', 'F') /* acceptance: thresholds, format/classes.h */
#define SEMDNS_TAG_HEAD SEMDNS_TAG('H', 'E', 'A', 'D') /* stage 3: classes, thresholds, format/head.h */
#define SEMDNS_TAG_PATS SEMDNS_TAG('P', 'A', 'T', 'S') /* mined patterns, format/patterns.h */
#define SEMDNS_TAG_DICT SEMDNS_TAG('D', 'I', 'C', 'T') /* codec `zstd`: its dictionary */
#define SEMDNS_TAG_PHRS SEMDNS_TAG('P', 'H', 'R', 'S') /* codec `turbo`, format/phrases.h; as DICT */
#define SEMDNS_TAG_TOKM SEMDNS_TAG('T', 'O', 'K', 'M') /* codec `fast`, format/model.h; as DICT */
#define SEMDNS_TAG_BYTM SEMDNS_TAG('B', 'Y', 'T', 'M') /* codec `max`, format/model.h; as DICT */
#define SEMDNS_TAG_STAT SEMDNS_TAG('S', 'T', 'A', 'T') /* n-gram counts, format/patterns.h */
#define SEMDNS_TAG_PART SEMDNS_TAG('P', 'A', 'R', 'T') /* documents to merge, format/patterns.h */
#define SEMDNS_TAG_KCPU SEMDNS_TAG('K', 'C', 'P', 'U') /* compiled kernel, ELF; target = semdns_isa */
#define SEMDNS_TAG_KGPU SEMDNS_TAG('K', 'G', 'P', 'U') /* PTX or cubin */
#define SEMDNS_TAG_DBUG SEMDNS_TAG('D', 'B', 'U', 'G') /* IR dumps, optional */
#define SEMDNS_TAG_GOLD SEMDNS_TAG('G', 'O', 'L', 'D') /* `test {}` queries with answers, format/gold.h */

/* Codec tables (DICT, PHRS, TOKM, BYTM) name their zone: its index, in the low 24 bits; the high 8 count
 * from 1 what earlier builds had there, kept so that their frames stay readable. 0 in a .plib. */
#define SEMDNS_CODEC_TARGET(zone, age) ((uint32_t)(zone) | (uint32_t)(age) << 24)
#define SEMDNS_CODEC_TARGET_ZONE(target) ((target)&0xffffffu)
#define SEMDNS_CODEC_TARGET_AGE(target) ((target) >> 24)

/* CPU levels a kernel can be compiled for; a level implies those before it, except that
 * AArch64 levels form a line of their own. Values are part of the format. */
enum semdns_isa {
  SEMDNS_ISA_PORTABLE = 0,      /* no KCPU section: the runtime's data-only kernels */
  SEMDNS_ISA_X86_64_V2 = 1,     /* SSSE3, SSE4.2 */
  SEMDNS_ISA_X86_64_V3 = 2,     /* AVX2, BMI2, FMA */
  SEMDNS_ISA_X86_64_V3_VNNI = 3, /* + AVX-VNNI (reserved) */
  SEMDNS_ISA_X86_64_V4 = 4,     /* AVX-512 F BW CD DQ VL */
  SEMDNS_ISA_X86_64_V4_VNNI = 5, /* + AVX512-VNNI */
  SEMDNS_ISA_X86_64_V4_AMX = 6, /* + AMX-INT8 (reserved) */
  SEMDNS_ISA_AARCH64 = 16,      /* ARMv8-A NEON (reserved) */
  SEMDNS_ISA_AARCH64_DOTPROD = 17, /* + dotprod (reserved) */
  SEMDNS_ISA_AARCH64_SVE2 = 18, /* + SVE2 (reserved) */
};

#endif /* SEMDNS_FORMAT_ARTIFACT_H */
