/// Resolver, scratch and the cascade. The hot path is one atomic load, the kernel, and copying the
/// pointers that the artifact has prepared.
#include "kernels/accept.h"
#include "kernels/beam.h"
#include "kernels/wordpiece.h"
#include "runtime/exec/encoder.h"
#include "runtime/exec/portable.h"
#include "runtime/resolve/cascade.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

using semdns::resolve::Course;
using semdns::resolve::enter;
using semdns::resolve::fail;
using semdns::resolve::valid;

/// Swaps publish a new epoch; a scratch that has seen the current epoch already holds a reference
/// to the current artifact and need not take the lock.
struct semdns_resolver {
  pthread_mutex_t lock;      ///< guards `artifact`
  semdns_artifact *artifact; ///< atomic, too, for isCurrent()
  uint64_t epoch;            ///< atomic; changes only under the lock
};

struct semdns_scratch {
  semdns_resolver *resolver;
  semdns_artifact *artifact; ///< the one that the last answer points into; a reference of its own
  uint64_t epoch;
  uint8_t *work;
  uint64_t workSize;
  bool onHeap;
  semdns::resolve::Work memory;
};

semdns_artifact *semdns::resolve::artifactOf(const semdns_scratch &scratch) {
  return scratch.artifact;
}

namespace {

constexpr size_t kHandleSize = (sizeof(semdns_scratch) + 63) & ~size_t(63);

/// The resolver's artifact with a new reference, and the epoch that it belongs to.
semdns_artifact *acquire(semdns_resolver *resolver, uint64_t &epoch) {
  pthread_mutex_lock(&resolver->lock);
  semdns_artifact *artifact = semdns_artifact_retain(resolver->artifact);
  epoch = __atomic_load_n(&resolver->epoch, __ATOMIC_RELAXED);
  pthread_mutex_unlock(&resolver->lock);
  return artifact;
}

/// RFC 1982, with 64 bits. Half the circle apart is neither newer nor older: not newer.
bool newer(uint64_t serial, uint64_t than) {
  const uint64_t ahead = serial - than;
  return ahead && ahead < uint64_t(1) << 63;
}

/// Lets the scratch follow a swap. The old artifact goes only when the new one can be used.
semdns_status follow(semdns_scratch *scratch) {
  uint64_t epoch;
  semdns_artifact *artifact = acquire(scratch->resolver, epoch);
  const uint64_t needed = semdns::resolve::workSize(*artifact);
  if (needed > scratch->workSize) {
    auto *work = scratch->onHeap ? static_cast<uint8_t *>(aligned_alloc(64, needed)) : nullptr;
    if (!work) {
      semdns_artifact_release(artifact);
      return scratch->onHeap ? SEMDNS_ERROR_MEMORY : SEMDNS_ERROR_SCRATCH;
    }
    free(scratch->work);
    scratch->work = work;
    scratch->workSize = needed;
  }
  semdns_artifact_release(scratch->artifact);
  scratch->artifact = artifact;
  scratch->epoch = epoch;
  semdns::resolve::layOut(*artifact, scratch->work, scratch->memory);
  return SEMDNS_OK;
}

void setZone(const semdns_artifact &a, uint32_t zone, uint32_t confidence, semdns_zone_ref &out) {
  out.index = zone;
  out.confidence = confidence;
  out.name = a.views[zone].name;
  out.path = a.views[zone].path;
}

/// The first leaf: what `best` says when nothing at all speaks for any zone, because it never is
/// the root.
uint32_t firstLeaf(const semdns_artifact &a) {
  uint32_t zone = 0;
  while (zone + 1 < a.zoneCount && a.zones[zone].subtree_end > zone + 1)
    ++zone;
  return zone;
}

/// Scores and weights of the classes as the stage that decides has left them.
struct Ranking {
  const int32_t *scores = nullptr;   ///< [classes]; null: no candidates, or a descent's
  const uint32_t *weights = nullptr; ///< [classes], or by node of the descent
  uint32_t total = 0;
  const semdns_kernel_trace *trace = nullptr;  ///< of the descent; null: all classes have scores
  const semdns_kernel_answer *found = nullptr; ///< with the classes that it has found
};

/// Q16 share of a zone's classes.
uint32_t shareOf(const semdns_artifact &a, const Ranking &ranking, uint32_t zone) {
  if (ranking.trace) {
    const uk_beam beam = uk_beam_of(a.tables.beam);
    return uk_beam_confidence(&beam, ranking.trace, ranking.weights, zone);
  }
  const uk_acceptance acceptance = uk_acceptance_of(a.tables.clsf);
  return uk_confidence(&acceptance, ranking.weights, ranking.total, zone);
}

bool related(const semdns_artifact &a, uint32_t x, uint32_t y) {
  return x <= y ? y < a.zones[x].subtree_end : x < a.zones[y].subtree_end;
}

/// Adds the zones of the best classes to zones[0, count) until there are `wanted`: each apart from
/// those before it, that is neither the same zone nor an ancestor or descendant (the root, which
/// only ever is the first, does not count as an ancestor here), with its own confidence. Zones
/// without any confidence are no candidates. Returns how many there are.
uint32_t addCandidates(const semdns_artifact &a, const Ranking &ranking, uint32_t wanted,
                       semdns_zone_ref *zones, uint32_t count) {
  const uk_acceptance acceptance = uk_acceptance_of(a.tables.clsf);
  if (ranking.found) { // best first already
    for (uint32_t i = 0; i < ranking.found->top_count && count < wanted; ++i) {
      const uint32_t zone = ranking.found->top_zone[i];
      bool apart = ranking.found->top_class[i] >= acceptance.root_class;
      for (uint32_t j = 0; j < count; ++j)
        apart &= !zones[j].index || !related(a, zones[j].index, zone);
      const uint32_t confidence = apart ? shareOf(a, ranking, zone) : 0;
      if (confidence)
        setZone(a, zone, confidence, zones[count++]);
    }
    return count;
  }
  while (ranking.scores && count < wanted) {
    uint32_t best = SEMDNS_NONE;
    for (uint32_t k = acceptance.root_class; k < acceptance.class_count; ++k) {
      if (best != SEMDNS_NONE && ranking.scores[k] <= ranking.scores[best])
        continue;
      bool apart = true;
      for (uint32_t i = 0; i < count; ++i)
        apart &= !zones[i].index || !related(a, zones[i].index, acceptance.class_zone[k]);
      if (apart)
        best = k;
    }
    if (best == SEMDNS_NONE)
      break;
    const uint32_t zone = acceptance.class_zone[best];
    const uint32_t confidence = shareOf(a, ranking, zone);
    if (!confidence)
      break;
    setZone(a, zone, confidence, zones[count++]);
  }
  return count;
}

/// What the artifact says of the answer's zone: its ancestors and its engines.
void setSurroundings(const semdns_artifact &a, semdns_answer &out) {
  const uint32_t answered = out.zone.index;
  out.serial = a.serial;
  out.digest = a.digest;
  out.digest_hex = a.digestHex;
  out.chain_count = 0;
  for (uint32_t zone = answered;; zone = a.zones[zone].parent) {
    setZone(a, zone,
            zone == answered ? out.zone.confidence
            : zone           ? 0
                             : 65536,
            out.chain[out.chain_count++]);
    if (!zone)
      break;
  }
  const semdns::resolve::ZoneView &view = a.views[answered];
  out.engine_count = view.engineCount < SEMDNS_ENGINES_MAX ? view.engineCount : SEMDNS_ENGINES_MAX;
  if (out.engine_count)
    memcpy(out.engines, view.engines, out.engine_count * sizeof *out.engines);
  out.reserved = 0;
}

void fill(const semdns_artifact &a, const semdns_kernel_answer &k, uint32_t status, uint32_t reason,
          const Ranking &ranking, uint32_t topK, semdns_answer &out) {
  out.status = status;
  out.reason = reason;
  out.retryable = status == SEMDNS_TIMEOUT;
  out.stage = k.stage;
  out.cached = 0;
  out.margin = k.margin;
  out.ttl = status == SEMDNS_TIMEOUT ? 0 : a.zones[k.zone].ttl;
  out.truncated = (k.flags & SEMDNS_KERNEL_TRUNCATED) != 0;
  out.repaired = (k.flags & SEMDNS_KERNEL_REPAIRED) != 0;
  setZone(a, k.zone, k.confidence, out.zone);
  if (k.best_zone || a.zoneCount == 1)
    setZone(a, k.best_zone, k.best_confidence, out.best);
  else
    setZone(a, firstLeaf(a), 0, out.best);

  out.zones[0] = out.zone;
  out.zone_count = addCandidates(a, ranking, topK, out.zones, 1);
  // Without evidence the classes' weights are the bias's alone: no lead.
  if (k.flags & SEMDNS_KERNEL_NO_EVIDENCE)
    out.margin = 0;

  setSurroundings(a, out);
}

uint32_t reasonOf(const semdns_kernel_answer &k, uint32_t stages) {
  if (k.flags & SEMDNS_KERNEL_TRUNCATED)
    return SEMDNS_REASON_TRUNCATED;
  if (k.flags & SEMDNS_KERNEL_REPAIRED)
    return SEMDNS_REASON_REPAIRED;
  if (k.stage != SEMDNS_KERNEL_STAGE_NONE)
    return k.zone == k.best_zone ? SEMDNS_REASON_NONE : SEMDNS_REASON_LOW_CONFIDENCE;
  if (!stages)
    return SEMDNS_REASON_NO_STAGE;
  if (k.hit_count)
    return SEMDNS_REASON_LOW_CONFIDENCE; // keywords that contradict each other
  return k.word_count ? SEMDNS_REASON_NO_EVIDENCE : SEMDNS_REASON_EMPTY;
}

struct Request {
  semdns_kernel_query kernel;
  uint32_t stages; ///< of the query's mask those that the artifact has
  uint32_t topK;
};

Request request(const semdns_artifact &a, const semdns_query &q) {
  Request r{};
  r.topK = q.top_k < 1 ? 1 : q.top_k > SEMDNS_TOP_MAX ? SEMDNS_TOP_MAX : q.top_k;
  r.stages = semdns::resolve::stagesOf(a, q);
  r.kernel.size = sizeof r.kernel;
  r.kernel.stages = r.stages & ~SEMDNS_STAGE_ENCODER;
  // Candidates are looked for among all scores; a descent must bring them.
  r.kernel.top_k = a.tables.beam && r.topK > 1 ? SEMDNS_KERNEL_TOP_MAX : 1;
  r.kernel.text = reinterpret_cast<const uint8_t *>(q.text);
  r.kernel.text_size = q.text_size;
  r.kernel.context = reinterpret_cast<const uint8_t *>(q.context);
  r.kernel.context_size = q.context_size;
  return r;
}

// ---- The cascade --------------------------------------------------------------------------------

const semdns_clsf_header &clsfOf(const semdns_artifact &a) {
  return *reinterpret_cast<const semdns_clsf_header *>(a.tables.clsf);
}

/// What stage 2's guards make of its answer where there is a stage 3 to ask.
enum class Guard { Ask, Answer, Reject };
Guard guardOf(const semdns_artifact &a, const semdns_kernel_answer &k) {
  const semdns_clsf_header &clsf = clsfOf(a);
  return k.best_confidence >= clsf.guard_confidence && k.odds >= clsf.guard_odds ? Guard::Answer
         : k.odds < clsf.reject_odds                                             ? Guard::Reject
                                                                                 : Guard::Ask;
}

void answerRoot(semdns_kernel_answer &k) {
  k.zone = 0;
  k.confidence = 65536;
}

/// Stage 3 on top of stage 2's answer `k`, whose scores are in the scratch; false, with `k` as it
/// was, where the text has no token.
bool encodeAndDecide(const semdns_scratch &scratch, const semdns_kernel_query &query,
                     semdns_kernel_answer &k) {
  const semdns_artifact &a = *scratch.artifact;
  semdns::exec::Encoded encoded;
  if (!k.word_count ||
      !semdns::exec::encodeQuery(a.encoder, a.wpce, a.encode, query, scratch.memory.arena,
                                 scratch.memory.head.query, encoded))
    return false;
  k.flags |= encoded.flags;
  semdns::exec::decideEncoded(a.tables.clsf, a.head, encoded.peak, scratch.memory.kernel.scores, 1,
                              scratch.memory.head, k);
  return true;
}

/// Stage 2's, whether it decides or not.
Ranking embeddingOf(const semdns_scratch &scratch, const semdns_kernel_answer &k) {
  const semdns_kernel_scratch &memory = scratch.memory.kernel;
  if (memory.trace)
    return {nullptr, memory.weights, k.total_weight, memory.trace, &k};
  return {memory.scores, memory.weights, k.total_weight, nullptr, nullptr};
}

Ranking rankingOf(const semdns_scratch &scratch, const semdns_kernel_answer &k) {
  if (k.stage == SEMDNS_KERNEL_STAGE_ENCODER)
    return {scratch.memory.head.scores, scratch.memory.head.weights, k.total_weight, nullptr,
            nullptr};
  return k.stage == SEMDNS_KERNEL_STAGE_EMBEDDING ? embeddingOf(scratch, k) : Ranking();
}

/// The caller's clock leaves room for stage 3.
bool encoderInTime(const semdns_artifact &a, const semdns_query &q) {
  if (!q.deadline)
    return true;
  const uint64_t cost = uint64_t(a.encoder.header->token_cost) * a.encoder.header->max_tokens;
  return q.now < q.deadline && q.deadline - q.now >= cost;
}

/// Whether stage 3 is to decide after stages 1 and 2 have answered `k`, if it can; settles what
/// stage 2's guards say.
bool asksEncoder(const semdns_artifact &a, uint32_t stages, semdns_kernel_answer &k, bool settle) {
  if (k.stage == SEMDNS_KERNEL_STAGE_KEYWORD)
    return false;
  if (!(stages & SEMDNS_STAGE_EMBEDDING) || k.stage != SEMDNS_KERNEL_STAGE_EMBEDDING)
    return true;
  const Guard guard = guardOf(a, k);
  if (settle && guard == Guard::Answer) {
    k.zone = k.best_zone;
    k.confidence = k.best_confidence;
  } else if (settle && guard == Guard::Reject) {
    answerRoot(k);
  }
  return guard == Guard::Ask;
}

semdns_status resolveOne(semdns_scratch *scratch, const semdns_query &query,
                         semdns_answer &answer) {
  if (!valid(query) || answer.size < sizeof answer)
    return SEMDNS_ERROR_ARGUMENT;
  Course course;
  semdns::resolve::runFirst(*scratch, query, course);
  if (course.asks)
    semdns::resolve::runEncoder(*scratch, course);
  semdns::resolve::fillAnswer(*scratch, course, answer);
  return SEMDNS_OK;
}

// ---- Measuring ----------------------------------------------------------------------------------

/// The best zone and its ancestors, with their confidences.
void chainOf(const semdns_artifact &a, const semdns_kernel_answer &k, const Ranking &ranking,
             semdns_stage_evidence &out) {
  out.odds = k.odds;
  out.margin = k.margin;
  out.best_class_zone = k.top_count ? k.top_zone[0] : 0;
  for (uint32_t zone = k.best_zone;; zone = a.zones[zone].parent) {
    out.zone[out.count] = zone;
    out.confidence[out.count++] = shareOf(a, ranking, zone);
    if (!zone)
      break;
  }
}

/// The best zone, then others apart from it.
void candidatesOf(const semdns_artifact &a, const semdns_kernel_answer &k, const Ranking &ranking,
                  uint32_t topK, semdns_evidence &out) {
  setZone(a, k.best_zone, k.best_confidence, out.candidates[0]);
  out.candidate_count = addCandidates(a, ranking, topK, out.candidates, 1);
}

void measureOne(const semdns_scratch &scratch, const semdns_query &query, semdns_evidence &out) {
  const semdns_artifact &a = *scratch.artifact;
  const semdns_kernel_scratch &memory = scratch.memory.kernel;
  const uint32_t size = out.size;
  memset(&out, 0, sizeof out);
  out.size = size;
  Request r = request(a, query);
  semdns_kernel_answer k;
  const auto run = [&](uint32_t stage) {
    r.kernel.stages = stage;
    a.kernel.route(&a.tables, &r.kernel, &memory, &k);
    out.flags |= k.flags & (SEMDNS_KERNEL_TRUNCATED | SEMDNS_KERNEL_REPAIRED);
  };
  out.flags = SEMDNS_EVIDENCE_NONE;
  out.keyword.odds = out.embedding.odds = out.encoder.odds = INT32_MAX;
  if (r.stages & SEMDNS_STAGE_KEYWORD) {
    run(SEMDNS_STAGE_KEYWORD);
    if (k.hit_count) {
      const auto &keyw = *reinterpret_cast<const semdns_keyw_header *>(a.tables.keyw);
      out.flags &= ~SEMDNS_EVIDENCE_NONE;
      out.keyword.stage = SEMDNS_STAGE_KEYWORD;
      out.keyword.accepted = k.stage == SEMDNS_KERNEL_STAGE_KEYWORD;
      out.keyword.margin = keyw.confidence;
      out.keyword.best_class_zone = k.best_zone;
      for (uint32_t zone = k.best_zone;; zone = a.zones[zone].parent) {
        out.keyword.zone[out.keyword.count] = zone;
        out.keyword.confidence[out.keyword.count++] = zone ? keyw.confidence : 65536;
        if (!zone)
          break;
      }
      setZone(a, k.best_zone, keyw.confidence, out.candidates[0]);
      out.candidate_count = 1;
    }
  }
  if (!(r.stages & (SEMDNS_STAGE_EMBEDDING | SEMDNS_STAGE_ENCODER)))
    return;
  run(SEMDNS_STAGE_EMBEDDING);
  if (r.stages & SEMDNS_STAGE_EMBEDDING) {
    chainOf(a, k, embeddingOf(scratch, k), out.embedding);
    if (k.row_count) {
      out.flags &= ~SEMDNS_EVIDENCE_NONE;
      out.embedding.stage = SEMDNS_STAGE_EMBEDDING;
      candidatesOf(a, k, rankingOf(scratch, k), r.topK, out);
    }
  }
  if (!(r.stages & SEMDNS_STAGE_ENCODER) || !encodeAndDecide(scratch, r.kernel, k))
    return;
  out.flags |= SEMDNS_EVIDENCE_ENCODER | (k.flags & SEMDNS_KERNEL_TRUNCATED);
  out.encoder.stage = SEMDNS_STAGE_ENCODER;
  chainOf(a, k, rankingOf(scratch, k), out.encoder);
  candidatesOf(a, k, rankingOf(scratch, k), r.topK, out);
}

// ---- Explaining ---------------------------------------------------------------------------------

/// Time of one run of `work`: the best of `rounds`, since a person looks at it.
template <typename Run> uint64_t timeOf(int rounds, Run work) {
  uint64_t best = UINT64_MAX;
  for (int i = 0; i < rounds; ++i) {
    timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    work();
    clock_gettime(CLOCK_MONOTONIC, &end);
    const uint64_t ns = static_cast<uint64_t>(end.tv_sec - begin.tv_sec) * 1000000000u +
                        static_cast<uint64_t>(end.tv_nsec) - static_cast<uint64_t>(begin.tv_nsec);
    best = ns < best ? ns : best;
  }
  return best;
}

/// Time of one run of the kernel with these stages.
uint64_t timeStages(const semdns_scratch &scratch, semdns_kernel_query query, uint32_t stages) {
  query.stages = stages;
  return timeOf(5, [&] {
    semdns_kernel_answer k;
    scratch.artifact->kernel.route(&scratch.artifact->tables, &query, &scratch.memory.kernel, &k);
  });
}

struct Explainer {
  const semdns_scratch &scratch;
  const semdns_artifact &a;
  semdns_trace_fn fn;
  void *user;
  char detail[512];

  void step(uint32_t stage, uint32_t zone, uint32_t score, uint32_t threshold, bool accepted,
            uint64_t ns) {
    semdns_trace_step s{};
    s.size = sizeof s;
    s.stage = stage;
    s.score = score;
    s.threshold = threshold;
    s.accepted = accepted;
    s.nanoseconds = ns;
    setZone(a, zone, stage == SEMDNS_STAGE_KEYWORD ? 0 : score, s.zone);
    s.detail = detail;
    fn(user, &s);
    detail[0] = 0;
  }

  __attribute__((format(printf, 2, 3))) void say(const char *format, ...) {
    const size_t used = strlen(detail);
    __builtin_va_list args;
    __builtin_va_start(args, format);
    vsnprintf(detail + used, sizeof detail - used, format, args);
    __builtin_va_end(args);
  }

  /// One step per zone with votes, most votes first. `k` is the answer of stage 1 alone.
  void keywords(const semdns_kernel_answer &k, uint64_t ns) {
    const auto &keyw = *reinterpret_cast<const semdns_keyw_header *>(a.tables.keyw);
    const auto *terms = reinterpret_cast<const semdns_term *>(a.tables.keyw + keyw.terms_offset);
    const char *texts = reinterpret_cast<const char *>(a.tables.keyw + keyw.strings_offset);
    struct Voted {
      uint32_t zone, votes;
    } voted[SEMDNS_MAX_HITS];
    uint32_t count = 0;
    uint64_t total = 0;
    for (uint32_t i = 0; i < k.hit_count; ++i) {
      const semdns_term &term = terms[scratch.memory.kernel.hits[i]];
      total += term.weight;
      uint32_t at = 0;
      while (at < count && voted[at].zone != term.zone)
        ++at;
      if (at == count)
        voted[count++] = {term.zone, 0};
      voted[at].votes += term.weight;
    }
    for (uint32_t i = 1; i < count; ++i) {
      const Voted v = voted[i];
      uint32_t at = i;
      for (; at > 0 && (voted[at - 1].votes < v.votes ||
                        (voted[at - 1].votes == v.votes && voted[at - 1].zone > v.zone));
           --at)
        voted[at] = voted[at - 1];
      voted[at] = v;
    }
    if (!count) {
      say("no term matches");
      step(SEMDNS_STAGE_KEYWORD, 0, 0, keyw.accept_votes, false, ns);
      return;
    }
    for (uint32_t v = 0; v < count; ++v) {
      const bool winner = v == 0;
      for (uint32_t i = 0; i < k.hit_count; ++i) {
        const semdns_term &term = terms[scratch.memory.kernel.hits[i]];
        if (term.zone == voted[v].zone)
          say("%s'%.*s' +%u", detail[0] ? ", " : "", static_cast<int>(term.text_size),
              texts + term.text_offset, term.weight);
      }
      const bool accepted = winner && k.stage == SEMDNS_KERNEL_STAGE_KEYWORD;
      if (winner && !accepted && voted[v].votes >= keyw.accept_votes)
        say("; too mixed: %llu votes in all", static_cast<unsigned long long>(total));
      step(SEMDNS_STAGE_KEYWORD, voted[v].zone, voted[v].votes, keyw.accept_votes, accepted,
           winner ? ns : 0);
    }
  }

  /// The best guess and each zone climbed to, by the thresholds of a stage. `k` is the answer of
  /// that stage, whose class weights are still in the scratch.
  void climb(uint32_t stage, const semdns_kernel_answer &k, const Ranking &ranking,
             const uint32_t *thresholds, int32_t rootOdds, uint64_t ns) {
    const bool rejected = k.odds < rootOdds;
    for (uint32_t zone = k.best_zone;; zone = rejected ? 0 : a.zones[zone].parent) {
      const bool accepted = zone == k.zone;
      if (rejected && zone)
        say("; odds %+.2f below %+.2f: the root's own", k.odds / 256.0, rootOdds / 256.0);
      step(stage, zone, shareOf(a, ranking, zone), thresholds[zone], accepted, ns);
      ns = 0;
      if (accepted || !zone)
        break;
    }
  }

  /// `k` is the answer of stage 2 alone; `guarded`: stage 3 stands behind it, `guard` says when.
  void embedding(const semdns_kernel_answer &k, bool guarded, Guard guard, uint64_t ns) {
    const Ranking ranking = embeddingOf(scratch, k);
    say("%u words, %u of %u features known, margin %.3f", k.word_count, k.row_count,
        k.feature_count, k.margin / 65536.0);
    if (k.odds != INT32_MAX)
      say(", odds %+.2f", k.odds / 256.0);
    const uint32_t share = shareOf(a, ranking, k.best_zone);
    const semdns_clsf_header &clsf = clsfOf(a);
    if (k.stage != SEMDNS_KERNEL_STAGE_EMBEDDING) {
      const uint32_t threshold = uk_acceptance_of(a.tables.clsf).threshold[k.best_zone];
      if (guarded) {
        say("; no known feature: stage 3 is asked");
        step(SEMDNS_STAGE_EMBEDDING, k.best_zone, share, UINT32_MAX, false, ns);
        return;
      }
      if (k.best_zone)
        step(SEMDNS_STAGE_EMBEDDING, k.best_zone, share, threshold, false, ns);
      say("%sno known feature: the root answers", detail[0] ? "; " : "");
      step(SEMDNS_STAGE_EMBEDDING, 0, 65536, 0, true, k.best_zone ? 0 : ns);
    } else if (guarded) {
      if (guard == Guard::Answer) {
        say("; guard passed");
      } else if (guard == Guard::Reject) {
        say("; guard: odds below %+.2f, the root's own", clsf.reject_odds / 256.0);
      } else {
        say("; guard: stage 3 is asked");
        if (share >= clsf.guard_confidence)
          say(", odds below %+.2f", clsf.guard_odds / 256.0);
      }
      const uint32_t needs =
          clsf.guard_confidence == SEMDNS_GUARD_NEVER ? UINT32_MAX : clsf.guard_confidence;
      step(SEMDNS_STAGE_EMBEDDING, k.best_zone, share, needs, guard == Guard::Answer, ns);
      if (guard == Guard::Reject)
        step(SEMDNS_STAGE_EMBEDDING, 0, 65536, 0, true, 0);
    } else {
      climb(SEMDNS_STAGE_EMBEDDING, k, ranking, uk_acceptance_of(a.tables.clsf).threshold,
            clsf.root_odds, ns);
    }
  }

  /// `k` is stage 3's answer.
  void encoder(const semdns_kernel_answer &k, uint64_t ns) {
    const auto &head = *reinterpret_cast<const semdns_head_header *>(a.head);
    say("margin %.3f", k.margin / 65536.0);
    if (k.odds != INT32_MAX)
      say(", odds %+.2f", k.odds / 256.0);
    climb(SEMDNS_STAGE_ENCODER, k, rankingOf(scratch, k),
          reinterpret_cast<const uint32_t *>(a.head + head.zone_threshold_offset), head.root_odds,
          ns);
  }
};

} // namespace

namespace semdns::resolve {

semdns_status enter(semdns_resolver *resolver, semdns_scratch *scratch) {
  if (!resolver || !scratch || scratch->resolver != resolver)
    return SEMDNS_ERROR_ARGUMENT;
  if (__atomic_load_n(&resolver->epoch, __ATOMIC_ACQUIRE) != scratch->epoch)
    return follow(scratch);
  return SEMDNS_OK;
}

bool isCurrent(const semdns_resolver &resolver, const semdns_artifact *artifact) {
  return __atomic_load_n(&resolver.artifact, __ATOMIC_RELAXED) == artifact;
}

void answerWith(const semdns_artifact &artifact, uint32_t zone, uint32_t status, uint32_t reason,
                semdns_answer &answer) {
  semdns_kernel_answer k;
  memset(&k, 0, sizeof k);
  k.zone = k.best_zone = zone;
  fill(artifact, k, status, reason, {}, 1, answer);
}

uint32_t wordsOf(const semdns_artifact &artifact, const char *text, size_t size, uint64_t *words,
                 uint64_t *features) {
  uk_counts counts;
  uk_tokenise(artifact.tables.text, reinterpret_cast<const uint8_t *>(text), size, 1, 0, 0, 0,
              words, features, &counts);
  return counts.words;
}

uint32_t wordsOf(const semdns_scratch &scratch, const char *text, size_t size,
                 const uint64_t *&words) {
  words = scratch.memory.kernel.words;
  return wordsOf(*scratch.artifact, text, size, scratch.memory.kernel.words,
                 scratch.memory.kernel.features);
}

bool valid(const semdns_query &query) {
  return query.size >= sizeof query && (query.text || !query.text_size) &&
         (query.context || !query.context_size) && !(query.stages & ~SEMDNS_STAGES_ALL) &&
         query.top_k <= SEMDNS_TOP_MAX && !query.flags;
}

uint32_t stagesOf(const semdns_artifact &artifact, const semdns_query &query) {
  return (query.stages ? query.stages : SEMDNS_STAGES_ALL) & artifact.stages;
}

void runFirst(const semdns_scratch &scratch, const semdns_query &query, Course &c) {
  const semdns_artifact &a = *scratch.artifact;
  Request r = request(a, query);
  c.stages = r.stages;
  c.topK = r.topK;
  c.asks = c.hurried = c.missed = c.late = false;
  const bool encoder = r.stages & SEMDNS_STAGE_ENCODER, inTime = encoder && encoderInTime(a, query);
  if ((query.deadline && query.now > query.deadline) ||
      (encoder && !inTime && !(r.stages & (SEMDNS_STAGE_EMBEDDING | SEMDNS_STAGE_KEYWORD)))) {
    c.late = true; // for the only stage that may answer
    return;
  }
  if (inTime) // stage 3 looks at stage 2's scores even where stage 2 may not answer
    r.kernel.stages |= SEMDNS_STAGE_EMBEDDING;
  a.kernel.route(&a.tables, &r.kernel, &scratch.memory.kernel, &c.answer);
  c.kernel = r.kernel;
  if (inTime) {
    c.asks = asksEncoder(a, r.stages, c.answer, true);
  } else if (encoder) {
    c.hurried = c.answer.stage != SEMDNS_KERNEL_STAGE_KEYWORD;
    c.missed = asksEncoder(a, r.stages, c.answer, false);
  }
}

void inputsOf(const semdns_scratch &scratch, const Course &course, Inputs &inputs) {
  const semdns_artifact &a = *scratch.artifact;
  const semdns_kernel_query &q = course.kernel;
  inputs.tokenFlags = 0;
  inputs.tokenCount = uk_window(a.wpce, q.context, q.context_size, q.text, q.text_size,
                                a.encoder.header->max_tokens, inputs.tokens, &inputs.tokenFlags);
  inputs.answer = course.answer;
  semdns_kernel_answer &k = inputs.answer;
  k.word_count = k.word_count != 0;
  k.feature_count = 0;
  k.row_count = 0;
  k.hit_count = k.hit_count != 0;
  inputs.scores = scratch.memory.kernel.scores;
  inputs.scoreCount = a.classCount; // an artifact with an encoder has no descent
}

void runEncoder(const semdns_scratch &scratch, Course &c) {
  if (!encodeAndDecide(scratch, c.kernel, c.answer) && !(c.stages & SEMDNS_STAGE_EMBEDDING)) {
    answerRoot(c.answer);
    c.answer.stage = SEMDNS_KERNEL_STAGE_NONE;
    c.answer.flags |= SEMDNS_KERNEL_NO_EVIDENCE;
  }
}

void fillAnswer(const semdns_scratch &scratch, const Course &c, semdns_answer &answer) {
  const semdns_artifact &a = *scratch.artifact;
  if (c.late) {
    semdns_kernel_answer none;
    memset(&none, 0, sizeof none);
    none.confidence = 65536;
    fill(a, none, SEMDNS_TIMEOUT, SEMDNS_REASON_DEADLINE, {}, 1, answer);
    return;
  }
  const semdns_kernel_answer &k = c.answer;
  const bool nothing = k.stage == SEMDNS_KERNEL_STAGE_NONE && !k.hit_count;
  const uint32_t status = nothing                 ? SEMDNS_NOZONE
                          : k.zone == k.best_zone ? SEMDNS_ROUTED
                                                  : SEMDNS_FALLBACK;
  fill(a, k, status, reasonOf(k, c.stages), rankingOf(scratch, k), c.topK, answer);
}

Decision decisionOf(const semdns_answer &answer) {
  Decision d;
  memset(&d, 0, sizeof d);
  d.zone = answer.zone.index;
  d.confidence = answer.zone.confidence;
  d.best = answer.best.index;
  d.bestConfidence = answer.best.confidence;
  d.margin = answer.margin;
  d.status = static_cast<uint8_t>(answer.status);
  d.reason = static_cast<uint8_t>(answer.reason);
  d.stage = static_cast<uint8_t>(answer.stage);
  d.truncated = answer.truncated != 0;
  d.repaired = answer.repaired != 0;
  d.others = static_cast<uint8_t>(answer.zone_count - 1);
  for (uint32_t i = 0; i < d.others; ++i)
    d.other[i] = {answer.zones[i + 1].index, answer.zones[i + 1].confidence};
  return d;
}

void expand(const semdns_artifact &a, const Decision &d, semdns_answer &out) {
  out.status = d.status;
  out.reason = d.reason;
  out.retryable = 0;
  out.stage = d.stage;
  out.margin = d.margin;
  out.truncated = d.truncated;
  out.repaired = d.repaired;
  setZone(a, d.zone, d.confidence, out.zone);
  setZone(a, d.best, d.bestConfidence, out.best);
  out.zones[0] = out.zone;
  out.zone_count = d.others + 1u;
  for (uint32_t i = 0; i < d.others; ++i)
    setZone(a, d.other[i].zone, d.other[i].confidence, out.zones[i + 1]);
  setSurroundings(a, out);
}

} // namespace semdns::resolve

size_t semdns::resolve::scratchSize(const semdns_artifact &artifact) {
  return kHandleSize + workSize(artifact);
}

extern "C" {

semdns_status semdns_resolver_create(semdns_artifact *artifact,
                                     const semdns_resolver_options *options, semdns_resolver **out,
                                     semdns_error *error) {
  if (out)
    *out = nullptr;
  if (!artifact || !out || (options && options->size < sizeof *options))
    return fail(error, SEMDNS_ERROR_ARGUMENT, "artifact and out must not be null");
  auto *resolver = static_cast<semdns_resolver *>(calloc(1, sizeof(semdns_resolver)));
  if (!resolver)
    return fail(error, SEMDNS_ERROR_MEMORY, "no memory for a resolver");
  pthread_mutex_init(&resolver->lock, nullptr);
  resolver->artifact = semdns_artifact_retain(artifact);
  resolver->epoch = 1;
  *out = resolver;
  return SEMDNS_OK;
}

void semdns_resolver_destroy(semdns_resolver *resolver) {
  if (!resolver)
    return;
  semdns_artifact_release(resolver->artifact);
  pthread_mutex_destroy(&resolver->lock);
  free(resolver);
}

semdns_status semdns_resolver_swap(semdns_resolver *resolver, semdns_artifact *artifact,
                                   semdns_error *error) {
  return semdns_resolver_swap_with(resolver, artifact, 0, error);
}

semdns_status semdns_resolver_swap_with(semdns_resolver *resolver, semdns_artifact *artifact,
                                        uint32_t flags, semdns_error *error) {
  if (!resolver || !artifact || (flags & ~SEMDNS_SWAP_BACK))
    return fail(error, SEMDNS_ERROR_ARGUMENT, "resolver and artifact must not be null");
  semdns_artifact_retain(artifact);
  pthread_mutex_lock(&resolver->lock);
  semdns_artifact *old = resolver->artifact;
  const uint64_t served = old->serial;
  const bool good = (flags & SEMDNS_SWAP_BACK) || newer(artifact->serial, served) ||
                    !memcmp(artifact->digest, old->digest, sizeof old->digest);
  if (good) {
    __atomic_store_n(&resolver->artifact, artifact, __ATOMIC_RELAXED);
    __atomic_fetch_add(&resolver->epoch, 1, __ATOMIC_RELEASE);
  }
  pthread_mutex_unlock(&resolver->lock);
  if (good) {
    semdns_artifact_release(old);
    return SEMDNS_OK;
  }
  char message[sizeof error->message];
  snprintf(message, sizeof message,
           "serial %llu is not newer than %llu, which is served; SEMDNS_SWAP_BACK goes back",
           static_cast<unsigned long long>(artifact->serial),
           static_cast<unsigned long long>(served));
  semdns_artifact_release(artifact);
  return fail(error, SEMDNS_ERROR_SERIAL, message);
}

semdns_status semdns_scratch_let_go(semdns_resolver *resolver, semdns_scratch *scratch) {
  return enter(resolver, scratch);
}

semdns_status semdns_scratch_create(semdns_resolver *resolver, semdns_scratch **out,
                                    semdns_error *error) {
  if (out)
    *out = nullptr;
  if (!resolver || !out)
    return fail(error, SEMDNS_ERROR_ARGUMENT, "resolver and out must not be null");
  auto *scratch = static_cast<semdns_scratch *>(calloc(1, sizeof(semdns_scratch)));
  if (!scratch)
    return fail(error, SEMDNS_ERROR_MEMORY, "no memory for a scratch");
  scratch->resolver = resolver;
  scratch->onHeap = true;
  const semdns_status status = follow(scratch);
  if (status != SEMDNS_OK) {
    free(scratch);
    return fail(error, status, "no memory for a scratch");
  }
  *out = scratch;
  return SEMDNS_OK;
}

semdns_status semdns_scratch_init(semdns_resolver *resolver, void *memory, size_t size,
                                  semdns_scratch **out, semdns_error *error) {
  if (out)
    *out = nullptr;
  if (!resolver || !out || !memory || reinterpret_cast<uintptr_t>(memory) % 64)
    return fail(error, SEMDNS_ERROR_ARGUMENT,
                "resolver, memory and out must not be null, memory 64-byte aligned");
  if (size < kHandleSize)
    return fail(error, SEMDNS_ERROR_SCRATCH, "memory is smaller than info.scratch_size");
  auto *scratch = static_cast<semdns_scratch *>(memory);
  *scratch = {};
  scratch->resolver = resolver;
  scratch->work = static_cast<uint8_t *>(memory) + kHandleSize;
  scratch->workSize = size - kHandleSize;
  const semdns_status status = follow(scratch);
  if (status != SEMDNS_OK)
    return fail(error, status, "memory is smaller than info.scratch_size");
  *out = scratch;
  return SEMDNS_OK;
}

void semdns_scratch_destroy(semdns_scratch *scratch) {
  if (!scratch)
    return;
  semdns_artifact_release(scratch->artifact);
  scratch->artifact = nullptr;
  scratch->resolver = nullptr;
  if (scratch->onHeap) {
    free(scratch->work);
    free(scratch);
  }
}

semdns_status semdns_resolve(semdns_resolver *resolver, semdns_scratch *scratch,
                             const semdns_query *query, semdns_answer *answer) {
  if (!query || !answer)
    return SEMDNS_ERROR_ARGUMENT;
  const semdns_status status = enter(resolver, scratch);
  return status != SEMDNS_OK ? status : resolveOne(scratch, *query, *answer);
}

semdns_status semdns_resolve_many(semdns_resolver *resolver, semdns_scratch *scratch,
                                  const semdns_query *queries, semdns_answer *answers,
                                  size_t count) {
  if (!count)
    return SEMDNS_OK;
  if (!queries || !answers)
    return SEMDNS_ERROR_ARGUMENT;
  semdns_status status = enter(resolver, scratch);
  const size_t queryStride = queries->size, answerStride = answers->size;
  for (size_t i = 0; i < count && status == SEMDNS_OK; ++i) {
    const auto *query = reinterpret_cast<const semdns_query *>(
        reinterpret_cast<const uint8_t *>(queries) + i * queryStride);
    auto *answer =
        reinterpret_cast<semdns_answer *>(reinterpret_cast<uint8_t *>(answers) + i * answerStride);
    if (query->size != queryStride || answer->size != answerStride)
      return SEMDNS_ERROR_ARGUMENT;
    status = resolveOne(scratch, *query, *answer);
  }
  return status;
}

semdns_status semdns_measure(semdns_resolver *resolver, semdns_scratch *scratch,
                             const semdns_query *query, semdns_evidence *evidence) {
  if (!query || !evidence || evidence->size < sizeof *evidence || !valid(*query))
    return SEMDNS_ERROR_ARGUMENT;
  const semdns_status status = enter(resolver, scratch);
  if (status == SEMDNS_OK)
    measureOne(*scratch, *query, *evidence);
  return status;
}

semdns_status semdns_explain(semdns_resolver *resolver, semdns_scratch *scratch,
                             const semdns_query *query, semdns_answer *answer, semdns_trace_fn fn,
                             void *user) {
  if (!query || !answer || !fn)
    return SEMDNS_ERROR_ARGUMENT;
  semdns_status status = enter(resolver, scratch);
  if (status == SEMDNS_OK)
    status = resolveOne(scratch, *query, *answer);
  if (status != SEMDNS_OK || answer->status == SEMDNS_TIMEOUT)
    return status;

  const semdns_artifact &a = *scratch->artifact;
  Request r = request(a, *query);
  Explainer explainer{*scratch, a, fn, user, {}};
  semdns_kernel_answer k;
  // The portable kernel leaves hits and weights where the contract of kernel.h says.
  const auto run = [&](uint32_t stage) {
    const uint64_t ns = timeStages(*scratch, r.kernel, stage);
    r.kernel.stages = stage;
    semdns::exec::routePortable(&a.tables, &r.kernel, &scratch->memory.kernel, &k);
    return ns;
  };
  if (r.stages & SEMDNS_STAGE_KEYWORD) {
    const uint64_t ns = run(SEMDNS_STAGE_KEYWORD);
    explainer.keywords(k, ns);
    if (k.stage == SEMDNS_KERNEL_STAGE_KEYWORD)
      return SEMDNS_OK;
  }
  const bool asks = (r.stages & SEMDNS_STAGE_ENCODER) && encoderInTime(a, *query);
  if (!asks && !(r.stages & SEMDNS_STAGE_EMBEDDING))
    return SEMDNS_OK;
  const uint64_t ns = run(SEMDNS_STAGE_EMBEDDING);
  if (r.stages & SEMDNS_STAGE_EMBEDDING) {
    const Guard guard = k.stage == SEMDNS_KERNEL_STAGE_EMBEDDING ? guardOf(a, k) : Guard::Ask;
    explainer.embedding(k, asks, guard, ns);
    if (guard != Guard::Ask)
      return SEMDNS_OK;
  }
  if (asks) {
    const semdns_kernel_answer two = k;
    bool ran = false;
    const uint64_t encoderTime = timeOf(2, [&] {
      k = two;
      ran = encodeAndDecide(*scratch, r.kernel, k);
    });
    if (ran)
      explainer.encoder(k, encoderTime);
    else if (r.stages & SEMDNS_STAGE_EMBEDDING)
      explainer.embedding(two, false, Guard::Ask, 0); // no token: stage 2 decides after all
  }
  return SEMDNS_OK;
}

} // extern "C"
