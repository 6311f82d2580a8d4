/// \file Everything a build reads from a hierarchy: the spec, its zone tree and its examples.
#pragma once

#include "lib/spec/tree.h"

#include <optional>
#include <string>
#include <vector>

namespace semdns::spec {

/// One training row. The order is that of zones, files and rows, the same on every run.
struct LabelledExample {
  std::string text; ///< valid UTF-8, otherwise as in the file; may be empty
  uint32_t zone;    ///< index into ZoneTree::zones; 0 = out of scope, belongs to the root
};

/// A `test {}` of the spec: the answer must be `zone` or inside it.
struct TestCase {
  std::string query;
  uint32_t zone;
  Location where;
};

struct Input {
  Spec spec;
  ZoneTree tree;
  std::vector<LabelledExample> examples;
  std::vector<TestCase> tests;
};

/// Parses a spec and reads the examples files it names (corpora and patterns are only checked to
/// be there). Errors of all of them are reported in one run; warns about zones with few examples
/// and texts with two labels. nullopt after any error.
std::optional<Input> loadSpecFile(const std::string &path, Diagnostics &diags);

/// The same for spec text in memory; `fileName` is what relative paths are relative to.
std::optional<Input> loadSpec(std::string_view text, const std::string &fileName,
                              Diagnostics &diags);

/// Derives the zones from the labels of JSONL files: a zone for each label and each of its
/// ancestors. Rows with `rootLabel` (empty: none) belong to the root. Labels are root-to-leaf paths
/// and nothing else ("etc." is a level of four bytes). Two spellings of one zone are an error.
std::optional<Input> loadFromExamples(const std::vector<std::string> &paths,
                                      const std::string &rootLabel, const std::string &name,
                                      Diagnostics &diags);

/// Only the spec of loadFromExamples, for `--dump-spec`.
std::optional<Spec> specFromExamples(const std::vector<std::string> &paths,
                                     const std::string &rootLabel, const std::string &name,
                                     Diagnostics &diags);

} // namespace semdns::spec
