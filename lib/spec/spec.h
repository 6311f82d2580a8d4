/// \file Hierarchy files (`hierarchy.txtpb`, schema in hierarchy.proto) as plain structures.
///
/// Most callers want lib/spec/load.h, which parses, builds the zone tree and reads the examples.
#pragma once

#include "lib/spec/names.h"
#include "lib/support/diagnostics.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace semdns::spec {

/// A string of the spec and where its value stands.
struct Text {
  std::string text;
  Location where;
};

/// A file that the spec names.
struct FileRef {
  std::string written; ///< as in the spec (or on the command line)
  std::string path;    ///< to open: `written` as seen from the spec's folder
  Location where;
};

enum class Tier : uint32_t { Root = 0, Domain = 1, Subdomain = 2, Specialist = 3 };

struct EngineSpec {
  std::string name; ///< unique, not empty
  Tier tier = Tier::Root;
  uint32_t maxContext = 0;  ///< tokens; 0 = not stated
  double costPerMtok = 0.0; ///< currency units per million tokens, 0..1e9
  std::string region;
  Location where;
};

struct EngineUse {
  std::string engine;
  uint32_t weight = 1; ///< at least 1
  Location where;
};

struct ZoneSpec {
  Levels levels;                     ///< root to leaf, mapped; empty for the root
  std::string label;                 ///< original spelling of the last level; empty: not stated
  std::optional<uint32_t> ttl;       ///< seconds, at most 86400
  std::vector<EngineUse> engines;    ///< in order of preference, weight 1
  std::vector<EngineUse> shares;     ///< weighted
  std::optional<EngineUse> fallback; ///< comes last
  std::vector<FileRef> patterns, corpora, examples;
  std::vector<Text> keywords;
  std::string description;
  bool restricted = false;
  bool shareable = false;
  std::vector<ZoneSpec> zones; ///< as nested in the file; only `levels` says who the parent is
  Location where;              ///< of the name, or of the block when it has none
};

struct TestSpec {
  std::string query;
  std::string zone; ///< text form of the name
  Location where;   ///< of the block
  Location zoneWhere;
};

struct EncoderSpec {
  std::optional<FileRef> folder;
  uint32_t layers = 0; ///< 0: all
  bool finetune = false;
};

/// A parsed hierarchy.
struct Spec {
  std::string file; ///< what locations call it
  std::string name;
  uint64_t serial = 1;
  double alpha = 0.05, delta = 0.05; ///< each in (0, 1)
  bool perZone = false;              ///< risk.per_zone
  EncoderSpec encoder;
  std::vector<FileRef> unlabelled, calibration;
  std::vector<Text> targets; ///< as written; build-hierarchy knows which exist
  std::vector<EngineSpec> engines;
  ZoneSpec root; ///< levels empty; its `zones` are the top zones
  std::string rootLabel;
  Location rootLabelWhere;
  std::vector<TestSpec> tests;
};

/// Parses protobuf text and checks everything that can be checked without opening other files.
/// Reports every error it finds, each with line, column and what would be right. `fileName` is
/// shown in locations and is what relative paths are relative to. Returns what could be understood
/// even after errors, so that a caller can go on and report more of them; nullopt only when the
/// bytes are no text at all. Usable if and only if `diags` has no errors. Any bytes are safe.
std::optional<Spec> parseLeniently(std::string_view text, const std::string &fileName,
                                   Diagnostics &diags);

/// parseLeniently, but nullopt when this text added an error.
std::optional<Spec> parseSpec(std::string_view text, const std::string &fileName,
                              Diagnostics &diags);

/// The same for a file ("-" is stdin).
std::optional<Spec> parseSpecFile(const std::string &path, Diagnostics &diags);

/// Protobuf text that parses to the same hierarchy. Relative paths in it are relative to the folder
/// of `outputPath` (empty or "-": to the current one).
std::string dumpSpec(const Spec &spec, const std::string &outputPath = {});

} // namespace semdns::spec
