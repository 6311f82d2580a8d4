/* Micro-kernel: stage 2's descent where classes are too many to score them all: level by level, the
 * best few nodes of a level at a time, each node's entries one block of CENT.
 * docs/architecture.md, "Arithmetic" (Beam), is the definition. Scoring a node is the caller's: the
 * compiler's own code in kernels, plain code in the runtime. */
#ifndef SEMDNS_KERNELS_BEAM_H
#define SEMDNS_KERNELS_BEAM_H

#include "kernels/accept.h"

typedef struct uk_beam {
  const semdns_beam_header *header;
  const semdns_beam_node *nodes;
  const uint32_t *target;
  const int32_t *bias;
  const semdns_beam_home *homes;
} uk_beam;

/* The BEAM section at `beam` (validated). */
static inline uk_beam uk_beam_of(const uint8_t *beam) {
  const semdns_beam_header *h = (const semdns_beam_header *)beam;
  uk_beam b;
  b.header = h;
  b.nodes = (const semdns_beam_node *)(beam + h->nodes_offset);
  b.target = (const uint32_t *)(beam + h->target_offset);
  b.bias = (const int32_t *)(beam + h->bias_offset);
  b.homes = (const semdns_beam_home *)(beam + h->homes_offset);
  return b;
}

static inline uint32_t uk_pad16(uint32_t n) { return (n + 15) & ~15u; }

/* Log2 of x >= 1 in 1/256 bit, rounded down by exp2's own table; 0 is as little as 2^-32. */
static inline int32_t uk_log2(const uint32_t *__restrict exp2, uint32_t x) {
  if (!x)
    return -32 * 256;
  const int32_t top = 31 - __builtin_clz(x);
  const uint32_t q16 = top >= 16 ? x >> (top - 16) : x << (16 - top); /* 65536..131071 */
  /* 2^(i/256) = 2 * 2^((i-256)/256): the largest i whose power is not above. */
  uint32_t low = 0;
  for (uint32_t step = 128; step; step >>= 1)
    if (2 * exp2[256 - (low + step)] <= q16)
      low += step;
  return top * 256 + (int32_t)low;
}

/* Weights of a node's entries from their scores: 2^-distance to the best logit in Q16. Returns
 * their sum. A logit is the score's distance to the best score (or 0), negative, plus the entry's
 * bias; padding has a bias that leaves it no weight. `scores` are overwritten. Blocks of 16, as
 * wide as vectors get: what follows them never meets a rest. */
static inline uint32_t uk_beam_weigh(const uint32_t *__restrict exp2,
                                     const int32_t *__restrict bias, int32_t *__restrict scores,
                                     uint32_t padded, uint32_t gain, uint32_t *__restrict weights) {
  const uint32_t limit = uk_limit(gain);
  int32_t tops[16] = {0}, bests[16];
  for (uint32_t block = 0; block < padded; block += 16)
    for (uint32_t i = 0; i < 16; ++i)
      tops[i] = scores[block + i] > tops[i] ? scores[block + i] : tops[i];
  const int32_t top = uk_top(tops, 16);
  for (uint32_t i = 0; i < 16; ++i)
    bests[i] = INT32_MIN;
  for (uint32_t block = 0; block < padded; block += 16)
    for (uint32_t i = 0; i < 16; ++i) {
      const uint32_t behind = (uint32_t)(top - scores[block + i]);
      const int32_t logit =
          bias[block + i] - (int32_t)(((behind < limit ? behind : limit) * gain) >> 16);
      scores[block + i] = logit;
      bests[i] = logit > bests[i] ? logit : bests[i];
    }
  const int32_t best = uk_top(bests, 16);
  uint32_t total = 0;
  for (uint32_t block = 0; block < padded; block += 16) {
    int32_t nearest = INT32_MIN;
    for (uint32_t i = 0; i < 16; ++i)
      nearest = scores[block + i] > nearest ? scores[block + i] : nearest;
    if (best - nearest >= 17 * 256) { /* most blocks of most nodes */
      for (uint32_t i = 0; i < 16; ++i)
        weights[block + i] = 0;
      continue;
    }
    for (uint32_t i = 0; i < 16; ++i) {
      const uint32_t x = (uint32_t)(best - scores[block + i]);
      const uint32_t shift = x >> 8 > 16 ? 31 : x >> 8;
      const uint32_t w = exp2[x & 255] >> shift;
      weights[block + i] = w;
      total += w;
    }
  }
  return total;
}

/* Q31 mass of a zone: 0 where the descent has not come by. */
static inline uint32_t uk_beam_mass(const uk_beam *b, const semdns_kernel_trace *trace,
                                    const uint32_t *__restrict weights, uint32_t zone) {
  if (!zone)
    return SEMDNS_BEAM_ONE;
  const semdns_beam_home home = b->homes[zone];
  for (uint32_t i = 0; i < trace->count; ++i) {
    if (trace->at[i].node != home.node)
      continue;
    const uint32_t *own = weights + (uint64_t)i * b->header->node_room;
    const uint32_t first = b->nodes[home.node].entry_begin;
    uint64_t sum = 0;
    for (uint32_t e = home.begin; e < home.end; ++e)
      sum += own[e - first];
    return (uint32_t)((sum * trace->at[i].rate) >> 16);
  }
  return 0;
}

/* The same as a Q16 confidence. */
static inline uint32_t uk_beam_confidence(const uk_beam *b, const semdns_kernel_trace *trace,
                                          const uint32_t *__restrict weights, uint32_t zone) {
  return uk_beam_mass(b, trace, weights, zone) >> 15;
}

/* Puts (mass, id) into a list kept by falling mass, then rising id; at most `room` stay. */
typedef struct uk_beam_item {
  uint32_t mass, id;
} uk_beam_item;
static inline uint32_t uk_beam_insert(uk_beam_item *list, uint32_t count, uint32_t room,
                                      uint32_t mass, uint32_t id) {
  uint32_t place = count;
  if (count == room) {
    const uk_beam_item last = list[room - 1];
    if (mass < last.mass || (mass == last.mass && id > last.id))
      return count;
    place = room - 1;
  } else {
    ++count;
  }
  for (; place > 0 &&
         (list[place - 1].mass < mass || (list[place - 1].mass == mass && list[place - 1].id > id));
       --place)
    list[place] = list[place - 1];
  list[place].mass = mass;
  list[place].id = id;
  return count;
}

/* Brings a node's tables towards the cache: what a level reads is known before it begins, and
 * lies far apart. The hardware follows a stream once it has begun. */
static inline void uk_beam_fetch(const uk_beam *b, const int8_t *__restrict vectors, uint32_t dim,
                                 uint32_t id) {
  const semdns_beam_node node = b->nodes[id];
  const uint32_t bytes = uk_pad16(node.entry_count) * dim;
  const int8_t *own = vectors + (uint64_t)node.entry_begin * dim;
  for (uint32_t at = 0; at < bytes && at < 6144; at += 64)
    __builtin_prefetch(own + at);
  for (uint32_t e = 0; e < node.entry_count; e += 16) {
    __builtin_prefetch(b->bias + node.entry_begin + e);
    __builtin_prefetch(b->target + node.entry_begin + e);
  }
}

/* Stage 2 from the quantised text on. `score(first, padded, scores)` writes the scores of entries
 * [first, first + padded), whose vectors, of `dim` bytes, are in `vectors`. `a` has the acceptance
 * data; `knownRows` 0: the root answers. Writes what uk_accept writes, and the trace. */
template <typename Score>
static inline void uk_descend(const uk_beam *b, const uk_acceptance *a,
                              const int8_t *__restrict vectors, uint32_t dim, uint32_t gain,
                              uint32_t topK, uint32_t knownRows, int32_t *__restrict scores,
                              uint32_t *__restrict weights, semdns_kernel_trace *__restrict trace,
                              semdns_kernel_answer *__restrict answer, Score score) {
  const uint32_t room = b->header->node_room, width = b->header->width, levels = b->header->levels,
                 wanted = topK < 2 ? 2 : topK;
  /* Classes found, best first: one more than asked for, because the margin needs the runner-up, and
   * the root's own class is no guess. */
  uk_beam_item found[SEMDNS_KERNEL_TOP_MAX], beam[SEMDNS_BEAM_MAX_WIDTH],
      next[SEMDNS_BEAM_MAX_WIDTH];
  uint32_t foundCount = 0, beamCount = 1, guessMass = 0, guess = SEMDNS_NONE, rootMass = 0,
           slot = 0;
  beam[0].mass = SEMDNS_BEAM_ONE;
  beam[0].id = 0;
  for (uint32_t level = 0; level < levels && beamCount; ++level) {
    uint32_t nextCount = 0;
    for (uint32_t n = 0; n < beamCount; ++n) {
      const uint32_t mass = beam[n].mass;
      /* Nothing below can be more likely than the whole. */
      if (mass <= guessMass)
        break;
      const semdns_beam_node node = b->nodes[beam[n].id];
      uint32_t *own = weights + (uint64_t)slot * room;
      const uint32_t padded = uk_pad16(node.entry_count);
      score(node.entry_begin, padded, scores);
      const uint32_t total =
          uk_beam_weigh(a->exp2, b->bias + node.entry_begin, scores, node.entry_count, gain, own);
      const uint32_t rate = (uint32_t)(((uint64_t)mass << 16) / total);
      trace->at[slot].node = beam[n].id;
      trace->at[slot].rate = rate;
      ++slot;
      /* Few entries matter: blocks without one are passed over. */
      for (uint32_t block = 0; block < padded; block += 16) {
        uint32_t most = 0;
        for (uint32_t i = 0; i < 16; ++i)
          most = own[block + i] > most ? own[block + i] : most;
        const uint64_t bound = ((uint64_t)rate * most) >> 16;
        /* (The guess is among the best two found, so nothing here would be followed either.) */
        if (!bound || (foundCount == wanted && bound < found[wanted - 1].mass))
          continue;
        for (uint32_t i = block; i < block + 16; ++i) {
          const uint32_t m = (uint32_t)(((uint64_t)rate * own[i]) >> 16);
          if (!m)
            continue;
          const uint32_t target = b->target[node.entry_begin + i];
          if (target & SEMDNS_BEAM_NODE) {
            __builtin_prefetch(b->nodes + (target & ~SEMDNS_BEAM_NODE));
            nextCount = uk_beam_insert(next, nextCount, width, m, target & ~SEMDNS_BEAM_NODE);
            continue;
          }
          foundCount = uk_beam_insert(found, foundCount, wanted, m, target);
          if (target < a->root_class)
            rootMass = m;
          else if (m > guessMass || (m == guessMass && target < guess)) {
            guessMass = m;
            guess = target;
            __builtin_prefetch(a->class_zone + target);
          }
        }
      }
    }
    beamCount = 0;
    for (uint32_t n = 0; n < nextCount; ++n)
      if (next[n].mass >= next[0].mass >> b->header->spread && next[n].mass > guessMass) {
        uk_beam_fetch(b, vectors, dim, next[n].id);
        beam[beamCount++] = next[n];
      }
  }
  trace->count = slot;

  answer->gain = gain;
  answer->total_weight = 65536;
  answer->margin = foundCount < 2 ? (foundCount ? found[0].mass >> 15 : 0)
                                  : (found[0].mass - found[1].mass) >> 15;
  answer->top_count = foundCount < topK ? foundCount : topK;
  for (uint32_t i = 0; i < answer->top_count; ++i) {
    answer->top_class[i] = found[i].id;
    answer->top_zone[i] = a->class_zone[found[i].id];
    answer->top_confidence[i] = found[i].mass >> 15;
  }
  uint32_t zone = guess == SEMDNS_NONE ? 0 : a->class_zone[guess];
  uint32_t confidence = uk_beam_confidence(b, trace, weights, zone);
  answer->best_zone = zone;
  answer->best_confidence = confidence;
  answer->odds = a->root_class && guess != SEMDNS_NONE
                     ? uk_log2(a->exp2, guessMass) - uk_log2(a->exp2, rootMass)
                     : INT32_MAX;
  if (!knownRows) {
    answer->flags |= SEMDNS_KERNEL_NO_EVIDENCE;
    answer->zone = 0;
    answer->confidence = 65536;
    return;
  }
  answer->stage = SEMDNS_KERNEL_STAGE_EMBEDDING;
  if (answer->odds < a->root_odds) {
    zone = 0;
    confidence = 65536;
  }
  while (zone && confidence < a->threshold[zone]) {
    zone = b->homes[zone].parent;
    confidence = uk_beam_confidence(b, trace, weights, zone);
  }
  answer->zone = zone;
  answer->confidence = confidence;
}

#endif /* SEMDNS_KERNELS_BEAM_H */
