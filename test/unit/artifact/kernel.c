/* A kernel for the sample artifact that the loader's tests map and call. It decides nothing: it
 * answers with what its relocated table and its constants say, which is what the test looks at. */
#include "semdns/kernel.h"

__attribute__((visibility("default"))) const semdns_kernel_info_t semdns_kernel_info = {
    .size = sizeof(semdns_kernel_info_t),
    .abi = SEMDNS_KERNEL_ABI,
    .isa = SEMDNS_ISA_X86_64_V2,
    .layout = 1,
    .dim = 16,
    .class_count = 2,
    .zone_count = 4,
    .row_count = 3,
    .bucket_count = 1,
    .word_ngram_max = 2,
    .char_ngram_min = 3,
    .char_ngram_max = 4,
};

static const uint32_t first = 1, second = 3;
/* Pointers in constant data: one RELATIVE relocation each. */
static const uint32_t *const volatile table[2] = {&first, &second};

__attribute__((visibility("default"))) void
semdns_kernel_route(const semdns_kernel_tables *tables, const semdns_kernel_query *query,
                    const semdns_kernel_scratch *scratch, semdns_kernel_answer *answer) {
  (void)tables;
  (void)scratch;
  answer->zone = *table[query->text_size & 1];
}

#ifdef WITH_IMPORT
extern int missing(void);
__attribute__((visibility("default"))) int imported(void) { return missing(); }
#endif
#ifdef WITH_CONSTRUCTOR
static volatile int started;
__attribute__((constructor)) static void start(void) { started = 1; }
#endif
