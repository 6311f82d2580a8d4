#include "runtime/exec/encoder.h"

#include "kernels/encode.h"
#include "kernels/wordpiece.h"

#include <string.h>

namespace semdns::exec {
namespace {

/// Rounding to nearest, denormals kept, exceptions masked, for as long as it lives: hosts set other
/// modes, by -ffast-math for one. Float operations that depend on it must stand behind a call
/// through a pointer, else the compiler may move them out of its life.
class FloatMode {
public:
#if defined(__x86_64__)
  FloatMode() : before_(__builtin_ia32_stmxcsr()) {
    if ((before_ & ~0x3fu) != 0x1f80) // but for what exceptions have been met
      __builtin_ia32_ldmxcsr(0x1f80);
  }
  ~FloatMode() {
    if ((before_ & ~0x3fu) != 0x1f80)
      __builtin_ia32_ldmxcsr(before_);
  }

private:
  uint32_t before_;
#elif defined(__aarch64__)
  FloatMode() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(before_));
    __asm__ volatile("msr fpcr, %0" : : "r"(uint64_t{0}) : "memory");
  }
  ~FloatMode() { __asm__ volatile("msr fpcr, %0" : : "r"(before_) : "memory"); }

private:
  uint64_t before_;
#else
  FloatMode() {}
#endif
  FloatMode(const FloatMode &) = delete;
  FloatMode &operator=(const FloatMode &) = delete;
};

} // namespace

uint64_t encoderArenaSize(const artifact::Encoder &encoder) {
  return (uk_encode_arena(encoder.header).end + 63) / 64 * 64;
}

void encodePortable(const uint8_t *encm, const uint32_t *ids, uint32_t count, void *arena,
                    int8_t *q, uint32_t *peak) {
  const auto *header = reinterpret_cast<const semdns_encm_header *>(encm);
  uk_encode_tokens(header, encm, ids, count, static_cast<uint8_t *>(arena), q, peak);
}

bool encodeQuery(const artifact::Encoder &encoder, const uint8_t *wpce,
                 semdns_kernel_encode_fn encode, const semdns_kernel_query &query, void *arena,
                 int8_t *q, Encoded &out) {
  uint32_t ids[SEMDNS_ENCODER_MAX_TOKENS];
  out = {};
  out.tokens = uk_window(wpce, query.context, query.context_size, query.text, query.text_size,
                         encoder.header->max_tokens, ids, &out.flags);
  // [CLS] and the last [SEP] are always there. A text without tokens has no context either: what
  // remains of one does not say what is asked.
  uint32_t special = 2;
  const auto *table = reinterpret_cast<const semdns_wpce_header *>(wpce);
  if (out.tokens > 2 && ids[out.tokens - 2] == table->sep)
    special = out.tokens;
  if (out.tokens <= special) {
    memset(q, 0, encoder.header->width);
    return false;
  }
  const FloatMode mode;
  encode(encoder.data, ids, out.tokens, arena, q, &out.peak);
  return true;
}

} // namespace semdns::exec
