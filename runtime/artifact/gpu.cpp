#include "runtime/artifact/gpu.h"

#include "runtime/artifact/arrays.h"

namespace semdns::artifact {

using base::fail;

bool GpuKernel::parse(Span span, const semdns_section &entry, const Zones &zones,
                      const Features &features, const Centroids &centroids, GpuKernel &out,
                      base::Error &error) {
  constexpr uint32_t kTag = SEMDNS_TAG_KGPU;
  if (!checkSpan(kTag, span.data, span.size, sizeof(semdns_kgpu_header), error))
    return false;
  GpuKernel gpu;
  gpu.header = reinterpret_cast<const semdns_kgpu_header *>(span.data);
  const semdns_kgpu_header &h = *gpu.header;
  const struct {
    const char *what;
    uint64_t found, expected;
  } fields[] = {
      {"ABI", h.abi, SEMDNS_GPU_ABI},
      {"target", h.target, entry.target},
      {"layout", h.layout, centroids.header->layout},
      {"layout of the section", entry.layout, centroids.header->layout},
      {"dim", h.dim, features.header->dim},
      {"class_count", h.class_count, zones.header->class_count},
      {"padded_count", h.padded_count, centroids.header->padded_count},
      {"zone_count", h.zone_count, zones.header->zone_count},
      {"row_count", h.row_count, features.header->row_count},
      {"bucket_count", h.bucket_count, features.header->bucket_count},
      {"image offset", h.image_offset, sizeof h},
      {"image size", h.image_size, span.size - sizeof h},
  };
  for (const auto &f : fields)
    if (f.found != f.expected)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                  "GPU kernel for target %u: %s is %" PRIu64 "; expected %" PRIu64, entry.target,
                  f.what, f.found, f.expected);
  for (uint32_t word : h.reserved)
    if (word)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                  "GPU kernel for target %u: a reserved field is %u; expected 0", entry.target,
                  word);
  const struct {
    const char *what;
    uint64_t found, least, most;
  } ranges[] = {
      {"threads", h.threads, 32, 1024},
      {"read_threads", h.read_threads, 1, 1024},
      {"tile", h.tile, 1, 64},
      {"shared_bytes", h.shared_bytes, 0, 232448},
      {"score_words", h.score_words, 0, (SEMDNS_MAX_CLASSES + 127) / 128 * 128 + 4},
      {"room", h.room, 1, SEMDNS_GPU_MAX_ROOM},
      {"image_size", h.image_size, 1, UINT64_MAX},
  };
  for (const auto &r : ranges)
    if (r.found < r.least || r.found > r.most)
      return fail(error, SEMDNS_ERROR_SECTION, kTag, 0,
                  "GPU kernel for target %u: %s is %" PRIu64 "; expected %" PRIu64 " to %" PRIu64,
                  entry.target, r.what, r.found, r.least, r.most);
  gpu.image = span.data + sizeof h;
  if (entry.target == 0 && memchr(gpu.image, 0, h.image_size) != gpu.image + h.image_size - 1)
    return fail(error, SEMDNS_ERROR_SECTION, kTag, sizeof h,
                "PTX text must end with its only NUL byte");
  out = gpu;
  return true;
}

} // namespace semdns::artifact
