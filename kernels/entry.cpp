/* What every compiled kernel starts from. Built to LLVM bitcode with the project (not to machine
 * code), embedded into the compiler, linked with the lowered `route` program and inlined into it:
 * no `uk_` symbol survives in a kernel (lib/codegen checks).
 *
 * semdns_kernel_route unpacks the ABI's structures into the flat argument list of the lowered
 * program, semdns_route_body; all offsets were validated when the artifact was opened. */
#include "kernels/beam.h"
#include "kernels/match.h"
#include "kernels/tokenise.h"
#include "semdns/kernel.h"

/* The micro-kernels under the names that the lowered program calls. */
extern "C" __attribute__((visibility("default"))) void
entryTokenise(const uint8_t *__restrict textTable, const uint8_t *__restrict text, uint64_t size,
              uint32_t wordNgramMax, uint32_t charMin, uint32_t charMax, uint32_t punct,
              uint64_t *__restrict words, uint64_t *__restrict features,
              uk_counts *__restrict counts) __asm__("uk_tokenise");
extern "C" __attribute__((visibility("default"))) uint32_t
entryMatch(const uint8_t *__restrict keyw, const uint64_t *__restrict words, uint32_t wordCount,
           uint32_t *__restrict hits) __asm__("uk_match");

void entryTokenise(const uint8_t *__restrict textTable, const uint8_t *__restrict text,
                   uint64_t size, uint32_t wordNgramMax, uint32_t charMin, uint32_t charMax,
                   uint32_t punct, uint64_t *__restrict words, uint64_t *__restrict features,
                   uk_counts *__restrict counts) {
  uk_tokenise(textTable, text, size, wordNgramMax, charMin, charMax, punct, words, features,
              counts);
}

uint32_t entryMatch(const uint8_t *__restrict keyw, const uint64_t *__restrict words,
                    uint32_t wordCount, uint32_t *__restrict hits) {
  return uk_match(keyw, words, wordCount, hits);
}

/* Generated per artifact and target where the program descends: the scores of a node's entries
 * [first, first + padded). */
extern "C" void semdns_score_node(const int8_t *vectors, const int32_t *offsets,
                                  const int8_t *quant, uint32_t first, uint32_t padded,
                                  int32_t *scores);

extern "C" __attribute__((visibility("default"))) void
entryDescend(const uint8_t *__restrict beam, const uint8_t *__restrict clsf,
             const int8_t *__restrict vectors, const int32_t *__restrict offsets,
             const int8_t *__restrict quant, uint32_t dim, uint32_t gain, uint32_t topK,
             uint32_t knownRows, int32_t *__restrict scores, uint32_t *__restrict weights,
             semdns_kernel_trace *__restrict trace,
             semdns_kernel_answer *__restrict answer) __asm__("uk_descend");

void entryDescend(const uint8_t *__restrict beam, const uint8_t *__restrict clsf,
                  const int8_t *__restrict vectors, const int32_t *__restrict offsets,
                  const int8_t *__restrict quant, uint32_t dim, uint32_t gain, uint32_t topK,
                  uint32_t knownRows, int32_t *__restrict scores, uint32_t *__restrict weights,
                  semdns_kernel_trace *__restrict trace, semdns_kernel_answer *__restrict answer) {
  const uk_beam b = uk_beam_of(beam);
  const uk_acceptance a = uk_acceptance_of(clsf);
  const uint32_t most = topK < SEMDNS_KERNEL_TOP_MAX ? topK : SEMDNS_KERNEL_TOP_MAX;
  uk_descend(&b, &a, vectors, dim, gain, most ? most : 1, knownRows, scores, weights, trace, answer,
             [=](uint32_t first, uint32_t padded, int32_t *__restrict out) {
               semdns_score_node(vectors, offsets, quant, first, padded, out);
             });
}

/* Generated per artifact and target: dialects/route lowered by lib/passes. */
extern "C" void
semdns_route_body(const uint8_t *text, uint64_t textSize, uint32_t stages, uint32_t topK,
                  const uint8_t *textTable, const uint8_t *keyw, const uint32_t *terms,
                  const uint32_t *buckets, const int8_t *rows, const uint16_t *norms,
                  const int8_t *vectors, const int32_t *offsets, const uint32_t *exp2,
                  const uint32_t *thresholds, int32_t rootOdds, uint64_t *words, uint64_t *features,
                  uint32_t *rowids, uint32_t *hits, int32_t *votes, int32_t *pool, int8_t *quant,
                  int32_t *scores, uint32_t *weights, uint32_t *counts, uint32_t *answer,
                  const uint8_t *beam, const uint8_t *clsf, semdns_kernel_trace *trace);

extern "C" __attribute__((visibility("default"))) void
semdns_kernel_route(const semdns_kernel_tables *tables, const semdns_kernel_query *query,
                    const semdns_kernel_scratch *scratch, semdns_kernel_answer *answer) {
  const uint8_t *keyw = tables->keyw, *tokv = tables->tokv, *cent = tables->cent,
                *clsf = tables->clsf;
  const semdns_keyw_header *k = (const semdns_keyw_header *)keyw;
  const semdns_tokv_header *t = (const semdns_tokv_header *)tokv;
  const semdns_cent_header *c = (const semdns_cent_header *)cent;
  const semdns_clsf_header *f = (const semdns_clsf_header *)clsf;
  static_assert(sizeof(uk_counts) == 5 * sizeof(uint32_t), "the lowered program reads 5 words");
  static_assert(sizeof(semdns_kernel_answer) == 48 * sizeof(uint32_t),
                "the lowered program writes 48 words");
  uk_counts counts;
  semdns_route_body(
      query->text, query->text_size, query->stages, query->top_k, tables->text, keyw,
      (const uint32_t *)(keyw + k->terms_offset), (const uint32_t *)(tokv + t->buckets_offset),
      (const int8_t *)(tokv + t->rows_offset), (const uint16_t *)(tokv + t->norms_offset),
      (const int8_t *)(cent + c->vectors_offset), (const int32_t *)(cent + c->offsets_offset),
      (const uint32_t *)(clsf + f->exp2_offset),
      (const uint32_t *)(clsf + f->zone_threshold_offset), f->root_odds, scratch->words,
      scratch->features, scratch->rows, scratch->hits, scratch->votes, scratch->pool,
      scratch->quant, scratch->scores, scratch->weights, (uint32_t *)&counts, (uint32_t *)answer,
      tables->beam, clsf, scratch->trace);
}
