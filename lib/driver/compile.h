/// \file The compiler's middle and back: a trained model through the dialects to kernel sections.
#pragma once

#include "lib/pack/model.h"
#include "lib/spec/tree.h"
#include "lib/support/diagnostics.h"
#include "semdns/format/encoder.h"

#include <functional>
#include <string>
#include <vector>

namespace semdns::driver {

/// One KCPU or KGPU section.
struct KernelSection {
  uint32_t tag = 0, target = 0;
  std::string bytes;
};

struct CompileOptions {
  std::string name;
  uint64_t serial = 1;
  uint32_t layout = 1;                         ///< CENT's
  uint32_t bucketCount = 1;                    ///< TOKV's
  const semdns_encm_header *encoder = nullptr; ///< of ENCM, where there is one; not owned
  std::vector<std::string> targets;            ///< as checkTargets accepted them
  std::vector<std::string> cubins;             ///< "sm_90"
  std::string stopAfter; ///< zone, route, lowered, llvm: print that IR on stdout and stop
  std::function<void(const std::string &phase, const std::string &text)> dump; ///< may be empty
  std::function<void(const std::string &phase, double seconds)> timing;        ///< may be empty
};

/// The targets of a build without --targets.
std::vector<std::string> defaultTargets();
/// Every name that `--targets` takes.
std::vector<std::string> allTargets();

/// Version of the ptxas that assembles cubins, for META; "none" without one (compiling fails then).
std::string ptxasVersion();

/// Builds the zone module, lowers it and compiles it for every target. Warnings and errors of the
/// dialects go into `diags` under the name `file`. Returns false after an error. Leaves `sections`
/// empty when options.stopAfter asked for an earlier end.
bool compileKernels(const spec::ZoneTree &tree, const pack::RoutingModel &model,
                    const CompileOptions &options, const std::string &file, Diagnostics &diags,
                    std::vector<KernelSection> &sections);

} // namespace semdns::driver
