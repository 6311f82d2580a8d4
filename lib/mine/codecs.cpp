#include "lib/mine/codecs.h"

#include "lib/codec/model.h"
#include "lib/codec/phrases.h"
#include "lib/support/progress.h"

#include <algorithm>
#include <cstdlib>
#include <tuple>
#include <unordered_map>

namespace semdns::mine {
namespace {

/// More text hardly helps phrases, and costs time.
constexpr uint64_t kTurboText = uint64_t(24) << 20;

std::string asString(const std::vector<uint8_t> &bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

} // namespace

void addCodecs(const Summary &summary, unsigned threads, uint64_t maxTurbo,
               patterns::PatternLibrary &library, Diagnostics &diags) {
  const auto number = [&](const char *key) -> uint64_t {
    const auto it = library.meta.find(key);
    return it == library.meta.end() ? 0 : std::strtoull(it->second.c_str(), nullptr, 10);
  };
  const auto mask = uint32_t(number("mine.codecs"));
  const auto kAnonymity = uint32_t(std::max<uint64_t>(number("mine.k_anonymity"), 1));
  const uint64_t maxSize = number("mine.max_size");
  // What is left of --max-size.
  const auto room = [&]() -> uint64_t {
    std::string error;
    const uint64_t size = maxSize ? patterns::buildPlib(library, error).size() + 256 : 0;
    return !maxSize ? UINT64_MAX : size < maxSize ? maxSize - size : 0;
  };
  const auto wants = [&](semdns_codec_mode mode) { return mask >> mode & 1; };
  std::vector<std::string_view> texts(summary.texts.begin(), summary.texts.end());
  if (texts.empty())
    return; // a library that was added up from statistics

  // What a base library brought along stays: frames are made with it.
  if (wants(SEMDNS_CODEC_TURBO) && !library.codecs.contains(SEMDNS_TAG_PHRS)) {
    // One owner's documents together, owners in the order of their first document's digest: owners'
    // numbers are names only.
    std::vector<std::vector<std::string_view>> byOwner;
    std::unordered_map<uint32_t, size_t> place;
    uint64_t held = 0;
    for (size_t i = 0; i < texts.size() && held < kTurboText; ++i) {
      const uint32_t owner = i < summary.textOwners.size() ? summary.textOwners[i] : uint32_t(i);
      const auto [at, fresh] = place.emplace(owner, byOwner.size());
      if (fresh)
        byOwner.emplace_back();
      byOwner[at->second].push_back(texts[i]);
      held += texts[i].size();
    }
    std::vector<std::string_view> documents;
    std::vector<uint32_t> owners;
    for (size_t owner = 0; owner < byOwner.size(); ++owner)
      for (const std::string_view text : byOwner[owner]) {
        documents.push_back(text);
        owners.push_back(uint32_t(owner));
      }
    Progress progress("phrases", 1000, "");
    codec::PhraseOptions options;
    options.maxBytes = std::min(maxTurbo, room());
    options.minDocuments = kAnonymity;
    options.progress = [&](uint32_t part) { progress.update(part); };
    std::string why;
    const auto bytes = codec::buildPhrases(documents, owners, options, why);
    progress.finish();
    if (bytes.empty())
      diags.note({}, "no tables for turbo: " + why);
    else
      library.codecs[SEMDNS_TAG_PHRS] = asString(bytes);
  }

  for (const auto &[mode, tag, kind] :
       {std::tuple{SEMDNS_CODEC_FAST, SEMDNS_TAG_TOKM, SEMDNS_MODEL_TOKENS},
        std::tuple{SEMDNS_CODEC_MAX, SEMDNS_TAG_BYTM, SEMDNS_MODEL_BYTES}}) {
    if (!wants(mode) || library.codecs.contains(tag))
      continue;
    codec::ModelOptions options;
    options.kind = kind;
    options.minDocuments = std::max(2u, kAnonymity);
    options.keepText = kAnonymity <= 1;
    options.threads = threads;
    const auto bytes = codec::buildModel(texts, options);
    if (bytes.empty())
      diags.note({}, std::string("no tables for ") + (mode == SEMDNS_CODEC_FAST ? "fast" : "max") +
                         ": too little text (64 KB in two documents at least)");
    else if (bytes.size() > room())
      diags.warning({}, std::string("--max-size leaves out the tables of ") +
                            (mode == SEMDNS_CODEC_FAST ? "fast" : "max"));
    else
      library.codecs[tag] = asString(bytes);
  }
}

} // namespace semdns::mine
