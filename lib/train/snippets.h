/// \file Training texts for zones that have a corpus and no labelled examples.
#pragma once

#include "lib/support/diagnostics.h"
#include "lib/train/train.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace semdns::train {

struct SnippetOptions {
  uint32_t count = 1500; ///< snippets a zone, at most
  uint32_t minWords = 3, maxWords = 30;
  uint64_t seed = 1;
};

/// Cuts the corpora at `paths` into sentences and lines of minWords..maxWords words (longer ones
/// are cut at maxWords) and appends a uniform sample of them as examples of `zone`, each text once,
/// in the order of the corpus. One pass, memory bounded by the sample. Same files, options and
/// zone: same snippets. Returns how many were appended; problems of the files are reported into
/// `diags`. `progress` is told how many bytes are read, as by mine::forEachDocument.
uint32_t sampleSnippets(const std::vector<std::string> &paths, uint32_t zone,
                        const SnippetOptions &options, std::vector<Example> &examples,
                        Diagnostics &diags, const std::function<void(uint64_t)> &progress = {});

} // namespace semdns::train
