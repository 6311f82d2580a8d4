/// \file KGPU: kernels for GPUs.
#pragma once

#include "runtime/artifact/classes.h"
#include "runtime/artifact/features.h"
#include "semdns/format/gpu.h"

namespace semdns::artifact {

/// View of a validated KGPU section; pointers into its bytes.
struct GpuKernel {
  const semdns_kgpu_header *header = nullptr;
  const uint8_t *image = nullptr; ///< [image_size]: PTX with a final NUL, or a cubin

  /// Validates `span` by the rules of format/gpu.h, against its table entry and the data it was
  /// compiled for. The image itself is the driver's to judge.
  static bool parse(Span span, const semdns_section &entry, const Zones &zones,
                    const Features &features, const Centroids &centroids, GpuKernel &out,
                    base::Error &error);
};

} // namespace semdns::artifact
