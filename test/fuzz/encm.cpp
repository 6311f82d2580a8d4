// ENCM: what the validator accepts, the encoder runs on, and gives numbers in range.
#include "runtime/artifact/encoder.h"
#include "runtime/exec/encoder.h"

#include <cstdlib>
#include <cstring>
#include <new>

using namespace semdns;

namespace {

struct Aligned {
  explicit Aligned(size_t size)
      : data(static_cast<uint8_t *>(::operator new(size + 1, std::align_val_t{64}))) {}
  ~Aligned() { ::operator delete(data, std::align_val_t{64}); }
  uint8_t *data;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Aligned section(size);
  if (size)
    std::memcpy(section.data, data, size);
  artifact::Encoder encoder;
  base::Error error;
  if (!artifact::Encoder::parse({section.data, size}, encoder, error)) {
    if (error.code == SEMDNS_OK || !error.message[0])
      abort(); // a refusal without a reason
    return 0;
  }
  const semdns_encm_header &h = *encoder.header;
  if (uint64_t{h.width} * h.layer_count > 4096)
    return 0; // slow, and no different
  Aligned arena(exec::encoderArenaSize(encoder));
  for (uint32_t count : {1u, 5u, h.max_tokens}) {
    uint32_t ids[SEMDNS_ENCODER_MAX_TOKENS];
    for (uint32_t i = 0; i < count; ++i)
      ids[i] = i * 0x9e3779b9u % (h.vocabulary + 1);
    int8_t q[SEMDNS_ENCODER_MAX_WIDTH];
    uint32_t peak = 0xffffffff;
    exec::encodePortable(section.data, ids, count, arena.data, q, &peak);
    bool all = true; // a direction has a largest component; no direction has none
    for (uint32_t d = 0; d < h.width; ++d) {
      if (q[d] == -128)
        abort();
      all = all && q[d] != 127 && q[d] != -127;
    }
    if (peak > 65536 || (peak == 0) != all)
      abort();
  }
  return 0;
}
