/* From scores to an accepted answer: weights, confidences, odds against the root's own class,
 * climbing, candidates. docs/architecture.md, "Arithmetic" (Acceptance), is the definition. Stage 2
 * (portable) and stage 3 use it; compiled kernels are lowered from IR to the same integers. */
#ifndef SEMDNS_KERNELS_ACCEPT_H
#define SEMDNS_KERNELS_ACCEPT_H

#include "semdns/kernel.h"

/* The gain with which scores are in 1/256 bit already: stage 3's. */
#define UK_GAIN_ONE 65536u

typedef struct uk_acceptance {
  const uint32_t *exp2;                             /* [256] */
  const uint32_t *class_zone;                       /* [class_count] */
  const uint32_t *parent, *class_begin, *class_end; /* [zones] */
  const uint32_t *threshold;                        /* [zones] Q16 */
  uint32_t class_count;                             /* at least 1 */
  uint32_t root_class;                              /* 1: class 0 is the root's own, else 0 */
  int32_t root_odds;                                /* 1/256 bit */
} uk_acceptance;

/* The acceptance data of the CLSF section at `clsf` (validated). */
static inline uk_acceptance uk_acceptance_of(const uint8_t *clsf) {
  const semdns_clsf_header *h = (const semdns_clsf_header *)clsf;
  uk_acceptance a;
  a.exp2 = (const uint32_t *)(clsf + h->exp2_offset);
  a.class_zone = (const uint32_t *)(clsf + h->class_zone_offset);
  a.parent = (const uint32_t *)(clsf + h->zone_parent_offset);
  a.class_begin = (const uint32_t *)(clsf + h->zone_class_begin_offset);
  a.class_end = (const uint32_t *)(clsf + h->zone_class_end_offset);
  a.threshold = (const uint32_t *)(clsf + h->zone_threshold_offset);
  a.class_count = h->class_count;
  a.root_class = h->root_class;
  a.root_odds = h->root_odds;
  return a;
}

/* The difference of scores beyond which everything is alike. */
static inline uint32_t uk_limit(uint32_t gain) { return 0x7fffffffu / (gain ? gain : 1u); }

/* A difference of scores, at least 0, in 1/256 bit. Differences fit 31 bits. */
static inline uint32_t uk_distance(uint32_t difference, uint32_t gain, uint32_t limit) {
  return ((difference < limit ? difference : limit) * gain) >> 16;
}

/* Largest of scores[0, count), count >= 1. */
static inline int32_t uk_top(const int32_t *__restrict scores, uint32_t count) {
  int32_t top = scores[0];
  for (uint32_t k = 1; k < count; ++k)
    top = scores[k] > top ? scores[k] : top;
  return top;
}

/* weights[0, count): 2^-distance to the top in Q16; returns their sum. */
static inline uint32_t uk_weigh(const uint32_t *__restrict exp2, const int32_t *__restrict scores,
                                uint32_t count, uint32_t gain, uint32_t *__restrict weights) {
  const int32_t top = uk_top(scores, count);
  const uint32_t limit = uk_limit(gain);
  uint32_t total = 0;
  for (uint32_t k = 0; k < count; ++k) {
    const uint32_t x = uk_distance((uint32_t)(top - scores[k]), gain, limit);
    weights[k] = x >> 8 > 16 ? 0 : exp2[x & 255] >> (x >> 8);
    total += weights[k];
  }
  return total;
}

/* The `wanted` classes of largest score, best first, ties to the lowest class; returns how many
 * there are. */
static inline uint32_t uk_rank(const int32_t *__restrict scores, uint32_t classes, uint32_t wanted,
                               uint32_t *__restrict top) {
  uint32_t count = 0;
  for (uint32_t k = 0; k < classes; ++k) {
    if (count == wanted && scores[k] <= scores[top[count - 1]])
      continue;
    uint32_t place = count < wanted ? count++ : count - 1;
    for (; place > 0 && scores[top[place - 1]] < scores[k]; --place)
      top[place] = top[place - 1];
    top[place] = k;
  }
  return count;
}

/* The best class that is not the root's own, or SEMDNS_NONE. */
static inline uint32_t uk_guess(const int32_t *__restrict scores, uint32_t classes,
                                uint32_t rootClass) {
  uint32_t guess = SEMDNS_NONE;
  for (uint32_t k = rootClass; k < classes; ++k)
    if (guess == SEMDNS_NONE || scores[k] > scores[guess])
      guess = k;
  return guess;
}

/* The best guess against the root's own class, in 1/256 bit. */
static inline int32_t uk_odds(const uk_acceptance *a, const int32_t *__restrict scores,
                              uint32_t guess, uint32_t gain) {
  if (!a->root_class || guess == SEMDNS_NONE)
    return INT32_MAX;
  const int32_t lead = scores[guess] - scores[0];
  return lead >= 0 ? (int32_t)uk_distance((uint32_t)lead, gain, uk_limit(gain))
                   : -(int32_t)uk_distance((uint32_t)-lead, gain, uk_limit(gain));
}

/* Q16 share of the classes of a zone. */
static inline uint32_t uk_confidence(const uk_acceptance *a, const uint32_t *__restrict weights,
                                     uint32_t total, uint32_t zone) {
  uint64_t sum = 0;
  if (!zone)
    return 65536;
  for (uint32_t k = a->class_begin[zone]; k < a->class_end[zone]; ++k)
    sum += weights[k];
  return (uint32_t)(sum * 65536 / total);
}

/* Everything from scores[class_count] (differences below 2^31, gain below 2^24) to an answer:
 * writes weights[class_count] and the answer's zone, best_zone, confidence, best_confidence,
 * margin, odds, gain, total_weight and candidates (topK 1..SEMDNS_KERNEL_TOP_MAX); unused
 * candidates stay as they are. */
static inline void uk_accept(const uk_acceptance *a, const int32_t *__restrict scores,
                             uint32_t gain, uint32_t topK, uint32_t *__restrict weights,
                             semdns_kernel_answer *answer) {
  const uint32_t classes = a->class_count;
  const uint32_t total = uk_weigh(a->exp2, scores, classes, gain, weights);
  answer->total_weight = total;
  answer->gain = gain;

  /* One more than asked for, because the margin needs the runner-up. */
  uint32_t best[SEMDNS_KERNEL_TOP_MAX + 1];
  const uint32_t ranked = uk_rank(scores, classes, topK < 2 ? 2 : topK, best);
  answer->margin =
      ranked < 2 ? 65536
                 : (uint32_t)((uint64_t)(weights[best[0]] - weights[best[1]]) * 65536 / total);
  answer->top_count = ranked < topK ? ranked : topK;
  for (uint32_t i = 0; i < answer->top_count; ++i) {
    answer->top_class[i] = best[i];
    answer->top_zone[i] = a->class_zone[best[i]];
    answer->top_confidence[i] = (uint32_t)((uint64_t)weights[best[i]] * 65536 / total);
  }

  const uint32_t guess = uk_guess(scores, classes, a->root_class);
  uint32_t zone = guess == SEMDNS_NONE ? 0 : a->class_zone[guess];
  uint32_t confidence = uk_confidence(a, weights, total, zone);
  answer->best_zone = zone;
  answer->best_confidence = confidence;
  answer->odds = uk_odds(a, scores, guess, gain);
  if (answer->odds < a->root_odds) {
    zone = 0;
    confidence = 65536;
  }
  while (zone && confidence < a->threshold[zone]) {
    zone = a->parent[zone];
    confidence = uk_confidence(a, weights, total, zone);
  }
  answer->zone = zone;
  answer->confidence = confidence;
}

#endif /* SEMDNS_KERNELS_ACCEPT_H */
