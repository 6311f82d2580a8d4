#include "lib/driver/codecs.h"

#include "lib/patterns/patterns.h"
#include "lib/support/files.h"
#include "runtime/artifact/reader.h"
#include "runtime/artifact/source.h"
#include "semdns/codec.h"

#include <algorithm>
#include <map>
#include <set>

namespace semdns::driver {
namespace {

constexpr uint32_t kTags[] = {SEMDNS_TAG_DICT, SEMDNS_TAG_PHRS, SEMDNS_TAG_TOKM, SEMDNS_TAG_BYTM};

size_t rankOf(uint32_t tag) {
  return size_t(std::find(std::begin(kTags), std::end(kTags), tag) - std::begin(kTags));
}

/// Sections by (rank of the tag, target).
using Sections = std::map<std::pair<size_t, uint32_t>, CodecSection>;

void keepOld(const std::string &path, Sections &sections, Diagnostics &diags) {
  base::Error error{};
  artifact::Source source;
  artifact::Reader reader;
  if (!source.openPath(path.c_str(), artifact::Source::Mode::Copy, error) ||
      !reader.open(source.data(), source.size(), SEMDNS_KIND_HIERARCHY, artifact::Check::Full,
                   error)) {
    diags.error({path, 0, 0}, error.message, "--keep-codecs takes artifacts (.sdna)");
    return;
  }
  std::set<std::pair<uint32_t, std::string>> known;
  for (const auto &[key, section] : sections)
    known.emplace(section.tag, section.bytes);
  for (uint32_t i = 0; i < reader.sectionCount(); ++i) {
    const semdns_section s = reader.entry(i);
    const size_t rank = rankOf(s.tag);
    if (rank == std::size(kTags) || s.version != artifact::knownVersion(s.tag))
      continue;
    const artifact::Span bytes = reader.bytes(i);
    CodecSection section{
        s.tag, 0, s.version,
        std::string(reinterpret_cast<const char *>(bytes.data), size_t(bytes.size))};
    if (known.contains({s.tag, section.bytes}))
      continue;
    // The zone's number is the old artifact's: it is for people, frames are matched by digest.
    const uint32_t zone = SEMDNS_CODEC_TARGET_ZONE(s.target);
    uint32_t age = 1;
    while (age < 256 && sections.contains({rank, SEMDNS_CODEC_TARGET(zone, age)}))
      ++age;
    if (age == 256) {
      diags.error({path, 0, 0}, "a zone has more than 255 earlier sets of codec tables",
                  "keep fewer artifacts with --keep-codecs");
      return;
    }
    section.target = SEMDNS_CODEC_TARGET(zone, age);
    sections.emplace(std::pair(rank, section.target), std::move(section));
  }
}

} // namespace

std::vector<CodecSection> gatherCodecs(const spec::Input &input,
                                       const std::vector<std::string> &keep, Diagnostics &diags) {
  Sections sections;
  const auto &zones = input.tree.zones;
  for (uint32_t zone = 0; zone < zones.size(); ++zone)
    for (const std::string &path : zones[zone].patterns) {
      patterns::ReadError ignored; // reported where the patterns are read
      auto library = patterns::readPlib(path, ignored);
      if (!library)
        continue;
      for (auto &[tag, bytes] : library->codecs)
        sections.emplace(std::pair(rankOf(tag), zone),
                         CodecSection{tag, zone, artifact::knownVersion(tag), std::move(bytes)});
    }
  for (const std::string &path : keep)
    keepOld(path, sections, diags);
  std::vector<CodecSection> out;
  for (auto &[key, section] : sections)
    out.push_back(std::move(section));
  return out;
}

bool checkCodecs(const std::string &artifact, std::string &why) {
  semdns_error error{};
  error.size = sizeof error;
  semdns_open_options options{};
  options.size = sizeof options;
  options.flags = SEMDNS_OPEN_DATA_ONLY;
  semdns_artifact *opened = nullptr;
  if (semdns_artifact_open_memory(artifact.data(), artifact.size(), &options, &opened, &error) !=
      SEMDNS_OK) {
    why = error.message;
    return false;
  }
  semdns_codec *codec = nullptr;
  semdns_codec_options all{};
  all.size = sizeof all;
  all.zone = 0; // the others' are validated for decoding
  const bool good = semdns_codec_create(opened, &all, &codec, &error) == SEMDNS_OK;
  if (!good)
    why = error.message;
  semdns_codec_destroy(codec);
  semdns_artifact_release(opened);
  return good;
}

} // namespace semdns::driver
