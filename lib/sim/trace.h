/// \file Request traces: Azure's CSV and Mooncake's JSON lines.
#pragma once

#include "lib/support/diagnostics.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::sim {

struct TraceRequest {
  uint64_t at = 0; ///< ns since the trace's first request; never goes back
  uint32_t inputTokens = 0, outputTokens = 0;
  uint32_t blockCount = 0;
  uint64_t firstBlock = 0; ///< in Trace::blocks
};

struct Trace {
  std::string file;
  std::vector<TraceRequest> requests;
  /// Names of prompt blocks, each of which stands for the whole prefix that ends there; never 0.
  std::vector<uint64_t> blocks;
  /// The trace says which blocks; otherwise each request has blocks of its own.
  bool hasPrefixes = false;

  std::span<const uint64_t> blocksOf(const TraceRequest &request) const {
    return {blocks.data() + request.firstBlock, request.blockCount};
  }
};

constexpr uint32_t kBlockTokens = 512; ///< of a prompt block, in both formats

/// Parses a trace; `{` as the first character means JSON lines, else it is CSV.
///   CSV: a header that names TIMESTAMP ("2023-11-16 18:17:03.9799600" or seconds), ContextTokens
///   and
///     GeneratedTokens in any order among other columns; prompts share nothing.
///   JSON lines: {"timestamp": ms, "input_length", "output_length", "hash_ids": [prefix blocks of
///   512
///     tokens]}; other keys are ignored.
/// Bad lines are errors at their line and column (20 of them at most), times that go back included;
/// then, or for an empty trace, the result is empty.
std::optional<Trace> parseTrace(std::string_view bytes, const std::string &fileName,
                                Diagnostics &diags);

} // namespace semdns::sim
