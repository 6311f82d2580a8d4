/* libsemdns_gpu: many texts at once, on NVIDIA GPUs where there are any and on the CPU where not.
 *
 *     semdns_gpu_options options = {.size = sizeof options, .device = SEMDNS_GPU_ALL};
 *     semdns_gpu *gpu;
 *     if (semdns_gpu_open(artifact, &options, &gpu, &error) != SEMDNS_OK)
 *       die(error.message);
 *     semdns_gpu_resolve_many(gpu, text, offsets, count, answers, NULL);
 *
 * A library of its own beside libsemdns, linked statically; it needs libcuda.so.1 (the driver,
 * from CUDA 12.0's on), looks for it when a batch resolver is opened, and links nothing of CUDA.
 * Every text is answered, always: what a GPU leaves (long texts, stage 3), and everything when
 * there is no GPU, no driver, an old one, too little memory, or when a device is lost half way, the
 * CPU answers, the same. `semdns_gpu_info` says what runs where, and why.
 *
 * A batch resolver belongs to one thread at a time. It starts no threads. */
#ifndef SEMDNS_GPU_H
#define SEMDNS_GPU_H

#include "semdns/semdns.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct semdns_gpu semdns_gpu;

#define SEMDNS_GPU_ALL (-1)  /* whatever devices can be used; none is fine */
#define SEMDNS_GPU_NONE (-2) /* the CPU alone */
#define SEMDNS_GPU_DEVICES_MAX 16u

typedef struct semdns_gpu_options {
  uint32_t size;
  int32_t device;       /* SEMDNS_GPU_ALL, SEMDNS_GPU_NONE, or the number of one device */
  uint32_t batch_texts; /* most texts of a launch, at most 4 M; 0: 131072 */
  uint32_t batch_bytes; /* most bytes of them, at most 64 MiB; 0: 8 MiB */
  uint32_t stages;      /* mask of SEMDNS_STAGE_*, 0: all that the artifact has */
  uint32_t reserved;    /* zero */
} semdns_gpu_options;

/* A device number that cannot be used is no error either: `reason` says why the CPU answers. */
SEMDNS_API semdns_status semdns_gpu_open(semdns_artifact *artifact,
                                         const semdns_gpu_options *options, semdns_gpu **out,
                                         semdns_error *error);
SEMDNS_API void semdns_gpu_close(semdns_gpu *gpu); /* null is fine */

typedef struct semdns_gpu_device_info {
  int32_t number;      /* the driver's */
  uint32_t chip;       /* 90 = sm_90 */
  uint32_t lost;       /* 1: it has failed since, and is used no more */
  uint32_t processors; /* streaming multiprocessors */
  uint64_t memory;     /* bytes in all */
  uint64_t used;       /* bytes that this batch resolver has taken */
  uint64_t load_ns;    /* driver's time to make code for the chip */
  char name[64];
} semdns_gpu_device_info;

typedef struct semdns_gpu_info {
  uint32_t size;
  uint32_t device_count; /* of devices[]; usable when opened */
  uint32_t driver;       /* as the driver says: 13000 = CUDA 13.0; 0: none */
  uint32_t reserved;
  char reason[160]; /* why the CPU answers alone, or what went wrong since; "" otherwise */
  semdns_gpu_device_info devices[SEMDNS_GPU_DEVICES_MAX];
} semdns_gpu_info;
SEMDNS_API semdns_status semdns_gpu_get_info(const semdns_gpu *gpu, semdns_gpu_info *info);

#define SEMDNS_BULK_TRUNCATED 1u
#define SEMDNS_BULK_REPAIRED 2u
#define SEMDNS_BULK_DEVICE 4u /* a GPU answered */

/* What bulk work needs of a semdns_answer, whose members these are. */
typedef struct semdns_bulk_answer {
  uint32_t zone, best;                  /* indices: semdns_artifact_zone */
  uint32_t confidence, best_confidence; /* Q16, of each */
  uint32_t margin;                      /* Q16 */
  uint8_t status, reason, stage;
  uint8_t flags; /* SEMDNS_BULK_* */
} semdns_bulk_answer;

typedef struct semdns_gpu_stats { /* added to, never set back */
  uint64_t texts, bytes;
  uint64_t on_device; /* texts that a GPU answered */
  uint64_t launches;
  uint64_t lost; /* batches that a device failed on and the CPU did again */
} semdns_gpu_stats;

/* Text i is text[offsets[i], offsets[i + 1]), any bytes; offsets ascend, [count + 1] of them.
 * Writes answers[count], equal to those of semdns_resolve. `stats` may be null. Fails for wrong
 * arguments only. Texts longer than a batch's bytes are fine. */
SEMDNS_API semdns_status semdns_gpu_resolve_many(semdns_gpu *gpu, const char *text,
                                                 const uint64_t *offsets, size_t count,
                                                 semdns_bulk_answer *answers,
                                                 semdns_gpu_stats *stats);

/* Nanoseconds of one batch's parts on one device, each alone, the fastest of `rounds`. */
typedef struct semdns_gpu_times {
  uint32_t size;
  uint32_t texts;            /* in the batch: as many of the texts given as fit */
  uint64_t bytes;            /* of text in it */
  uint64_t rows;             /* of the feature table that were pooled */
  double launch;             /* an empty kernel's: the reading one on no text, until it is done */
  double upload;             /* text and offsets, from pinned memory */
  double read;               /* the first kernel, from bytes in device memory */
  double answer;             /* the second, from the first one's rows */
  double download;           /* answers, to pinned memory */
  double copy_up, copy_down; /* of 64 MiB, for the link's rate */
} semdns_gpu_times;
/* `device` is an index into info.devices. SEMDNS_ERROR_ARGUMENT without it, or when it fails. */
SEMDNS_API semdns_status semdns_gpu_measure(semdns_gpu *gpu, uint32_t device, const char *text,
                                            const uint64_t *offsets, size_t count, uint32_t rounds,
                                            semdns_gpu_times *times);

#ifdef __cplusplus
}
#endif
#endif /* SEMDNS_GPU_H */
