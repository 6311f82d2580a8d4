/* Contexts in a fraction of their bytes: lossless compression by tables that were mined from a zone's
 * corpus and are frozen in the artifact. Both sides hold the same artifact (or at least the same
 * tables: frames name them by digest), so a frame carries nothing but what the tables cannot foresee.
 *
 *     semdns_codec *codec;
 *     semdns_codec_create(artifact, NULL, &codec, &error);
 *     void *scratch = aligned_alloc(64, semdns_codec_scratch_size(codec)); // one per thread
 *     memset(scratch, 0, semdns_codec_scratch_size(codec));                // once
 *     semdns_compress_options how = {.size = sizeof how, .zone = zone, .mode = SEMDNS_CODEC_TURBO};
 *     semdns_compress(codec, scratch, &how, text, n, frame, capacity, &size, &error);
 *     semdns_decompress(codec, scratch, frame, size, text, limit, &n, &error);
 *
 * After semdns_codec_create nothing is allocated. Frames from strangers are safe to decode: the answer
 * is an error or bytes, in time and memory bounded by the capacity that the caller gives.
 *
 * ONE LIBRARY PER TRUST DOMAIN  How well a text compresses tells how much of it the library knows. Who
 * may see sizes or times of frames must be allowed to know what the library was mined from; never mine
 * one tenant's text into tables that compress another's. docs/codec.md.
 *
 * Frames: docs/format.md, "Frames". */
#ifndef SEMDNS_CODEC_H
#define SEMDNS_CODEC_H

#include "semdns/semdns.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Pinned: the low three bits of a frame's first byte. */
typedef enum semdns_codec_mode {
  SEMDNS_CODEC_RAW = 0,   /* the bytes themselves */
  SEMDNS_CODEC_ZSTD = 1,  /* zstd with the zone's dictionary: the baseline */
  SEMDNS_CODEC_TURBO = 2, /* static phrases, entropy coded */
  SEMDNS_CODEC_FAST = 3,  /* token model */
  SEMDNS_CODEC_MAX = 4,   /* the strongest model */
  SEMDNS_CODEC_AUTO = 7,  /* never in a frame: the smallest of zstd, turbo and fast, on a sample */
} semdns_codec_mode;

/* Inputs beyond this size are cut into blocks of it, each compressed alone. */
#define SEMDNS_CODEC_MAX_BLOCK 65536u
/* Bytes of a frame before its payload, at most. */
#define SEMDNS_CODEC_MAX_HEADER 14u
/* Bytes that a block of n bytes takes in a stream, at most: n + this. */
#define SEMDNS_CODEC_BLOCK_OVERHEAD 8u
/* semdns_codec_options.zone, semdns_compress_options.zone */
#define SEMDNS_CODEC_EVERY_ZONE UINT32_MAX
#define SEMDNS_CODEC_ZONE_AUTO UINT32_MAX

/* "raw", "zstd", "turbo", "fast", "max", "auto"; "unknown" for others. */
SEMDNS_API const char *semdns_codec_mode_text(uint32_t mode);

/* An artifact's codec tables, ready to use. Immutable: any number of threads may share one. */
typedef struct semdns_codec semdns_codec;

typedef struct semdns_codec_options {
  uint32_t size;
  uint32_t zone;      /* prepare the tables that this zone compresses with, or EVERY_ZONE. Frames of
                         the other zones can be read either way */
  uint32_t modes;     /* mask of 1 << semdns_codec_mode; 0: all */
  int32_t zstd_level; /* 1..19; 0: 19 */
} semdns_codec_options;

/* Validates the tables and, for zstd, digests the dictionaries (the only memory that is allocated).
 * Takes a reference of its own to the artifact. `options` may be null: every zone and mode. */
SEMDNS_API semdns_status semdns_codec_create(semdns_artifact *artifact,
                                             const semdns_codec_options *options,
                                             semdns_codec **out, semdns_error *error);
SEMDNS_API void semdns_codec_destroy(semdns_codec *codec); /* null is fine */

/* Bytes of scratch that any call below needs: 64-byte aligned, zeroed before its first use, one per
 * thread. Whatever a call leaves in it suits the next. */
SEMDNS_API size_t semdns_codec_scratch_size(const semdns_codec *codec);

typedef struct semdns_codec_tables {
  uint32_t size;
  uint32_t zone;      /* that they were mined for: the zone asked about or its nearest ancestor that
                         has tables of the mode */
  uint32_t mode;      /* semdns_codec_mode */
  uint32_t reserved;
  uint64_t bytes;     /* of the section, shared by all processes that map the artifact */
  size_t scratch;     /* bytes of scratch that this mode uses */
  uint8_t digest[32]; /* frames carry its first four bytes */
} semdns_codec_tables;

/* The tables that `zone` compresses with in `mode`; SEMDNS_ERROR_TABLES if it has none. */
SEMDNS_API semdns_status semdns_codec_get_tables(const semdns_codec *codec, uint32_t zone,
                                                 uint32_t mode, semdns_codec_tables *tables);

/* ---- One shot --------------------------------------------------------------------------------- */

typedef struct semdns_compress_options {
  uint32_t size;
  uint32_t zone; /* index, or ZONE_AUTO: where the resolver routes the text */
  uint32_t mode; /* semdns_codec_mode */
  uint32_t reserved;
  semdns_resolver *resolver; /* of ZONE_AUTO, with a scratch made from it */
  semdns_scratch *resolver_scratch;
} semdns_compress_options;

/* Size of the largest frame of `size` bytes: size + 1. */
SEMDNS_API size_t semdns_codec_bound(size_t size);

/* One frame for `n` bytes. A text that would grow is stored raw: one byte more than it has. */
SEMDNS_API semdns_status semdns_compress(const semdns_codec *codec, void *scratch,
                                         const semdns_compress_options *options, const void *in,
                                         size_t n, void *out, size_t capacity, size_t *written,
                                         semdns_error *error);

typedef struct semdns_frame_info {
  uint32_t size;
  uint32_t mode;        /* semdns_codec_mode */
  uint32_t zone;        /* as the sender's artifact numbers them; 0 for raw */
  uint32_t tables;      /* first four bytes of the tables' digest, little-endian; 0 for raw */
  uint32_t header_size; /* bytes before the payload, or before the first block */
  uint32_t blocks;      /* 0: one payload; else the blocks follow */
  uint64_t length;      /* bytes that it stands for */
} semdns_frame_info;

/* Reads a frame's header, and walks its blocks where it has any. Not more than that: the payload may
 * still be damaged. */
SEMDNS_API semdns_status semdns_frame_get_info(const void *frame, size_t size,
                                               semdns_frame_info *info, semdns_error *error);

/* Decodes a whole frame. One that stands for more than `capacity` bytes is refused with
 * SEMDNS_ERROR_CAPACITY before anything is written: the caller's limit, whatever the frame says. */
SEMDNS_API semdns_status semdns_decompress(const semdns_codec *codec, void *scratch,
                                           const void *frame, size_t size, void *out,
                                           size_t capacity, size_t *written, semdns_error *error);

/* Bytes [begin, end) of what the frame stands for; only the blocks that hold them are decoded. `end`
 * beyond its length means its length. Blocks at the edges are decoded in the scratch. */
SEMDNS_API semdns_status semdns_decompress_range(const semdns_codec *codec, void *scratch,
                                                 const void *frame, size_t size, uint64_t begin,
                                                 uint64_t end, void *out, size_t capacity,
                                                 size_t *written, semdns_error *error);

/* ---- Streams: bounded memory, no state but the caller's position -------------------------------- */

/* Header of a frame of blocks, at most SEMDNS_CODEC_MAX_HEADER bytes. Zone and mode must be settled:
 * neither may be AUTO (semdns_compress_settle). */
SEMDNS_API semdns_status semdns_stream_begin(const semdns_codec *codec,
                                             const semdns_compress_options *options, void *out,
                                             size_t capacity, size_t *written, semdns_error *error);
/* One block: exactly SEMDNS_CODEC_MAX_BLOCK bytes, fewer (or none) only with `last`. */
SEMDNS_API semdns_status semdns_stream_block(const semdns_codec *codec, void *scratch,
                                             const semdns_compress_options *options, const void *in,
                                             size_t n, int last, void *out, size_t capacity,
                                             size_t *written, semdns_error *error);
/* Replaces AUTO in `options` by what suits `in`, the beginning of the text. */
SEMDNS_API semdns_status semdns_compress_settle(const semdns_codec *codec, void *scratch,
                                                semdns_compress_options *options, const void *in,
                                                size_t n, semdns_error *error);

typedef struct semdns_stream_header {
  uint32_t size;
  uint32_t mode, zone, tables; /* as in semdns_frame_info */
  uint32_t header_size;
  uint32_t blocked; /* 0: not a stream of blocks: the whole frame must be at hand */
} semdns_stream_header;
/* From the first bytes of a frame (SEMDNS_CODEC_MAX_HEADER suffice). */
SEMDNS_API semdns_status semdns_stream_read_header(const void *frame, size_t size,
                                                   semdns_stream_header *header,
                                                   semdns_error *error);

typedef struct semdns_stream_block_info {
  uint32_t size;
  uint32_t raw;         /* 1: stored as it is */
  uint32_t last;
  uint32_t header_size; /* bytes before its payload, at most SEMDNS_CODEC_BLOCK_OVERHEAD */
  uint32_t stored;      /* bytes of its payload */
  uint32_t length;      /* bytes that it stands for */
} semdns_stream_block_info;
/* From the first SEMDNS_CODEC_BLOCK_OVERHEAD bytes of a block (fewer at the stream's end). */
SEMDNS_API semdns_status semdns_stream_read_block(const void *at, size_t size,
                                                  semdns_stream_block_info *block,
                                                  semdns_error *error);
/* Decodes a block's payload into exactly block->length bytes. */
SEMDNS_API semdns_status semdns_stream_decode(const semdns_codec *codec, void *scratch,
                                              const semdns_stream_header *header,
                                              const semdns_stream_block_info *block,
                                              const void *payload, void *out, semdns_error *error);

#ifdef __cplusplus
}
#endif
#endif /* SEMDNS_CODEC_H */
