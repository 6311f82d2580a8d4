/// \file The run-time configuration: text to a checked block (docs/dispatch.md, "Configuration").
#pragma once

#include "runtime/dispatch/policy.h"
#include "runtime/dispatch/select.h"

struct semdns_artifact;

namespace semdns::dispatch {

constexpr uint32_t kMaxZoneRules = 256;
constexpr uint32_t kMaxBucketRules = 64;
constexpr uint32_t kNoRule = 0xffffffffu;

/// Of a zone and what lies below it, unless a zone there has a rule of its own; `failClosed` holds
/// at the zone itself: nobody above it is asked.
struct ZoneRule {
  uint64_t zone; ///< hash of the DNS name
  Rules rules;
  bool failClosed;
};

struct BucketRule {
  uint64_t zone;     ///< 0: any. Matches what lies below it, too
  uint64_t scope;    ///< 0: each has a bucket of its own
  uint64_t interval; ///< ns a token
  uint32_t burst;
};

/// Numbers of regions, in order of appearance; 0 is "" (not stated). Never shrinks.
struct Regions {
  char name[kMaxRegions][SEMDNS_ID_MAX];
  uint32_t count;
};
/// kMaxRegions if it is not there.
uint32_t findRegion(const Regions &regions, const char *name, size_t size);
/// Adds it if need be; kMaxRegions when full or too long.
uint32_t internRegion(Regions &regions, const char *name, size_t size);

/// What an `endpoint` line says.
struct EndpointLine {
  char id[SEMDNS_ID_MAX], engine[SEMDNS_ID_MAX];
  Traits traits;
};

struct Config {
  Settings settings;
  Distances distances;
  Regions regions;
  ZoneRule zones[kMaxZoneRules];
  BucketRule buckets[kMaxBucketRules];
  uint32_t zoneCount, bucketCount, endpointCount;
};

/// Defaults: no rules, every distance 100 ms but 0 to oneself.
void clearConfig(Config &config);

/// Rule of a zone by its hash, kNoRule if none.
uint32_t findRule(const Config &config, uint64_t zone);

/// Fills `config`, whose regions go on from those of `before`, `endpoints` [capacity] and `policy`.
/// False with `error` (code ARGUMENT, "LINE:COLUMN: ...") on the first line that is wrong.
bool parseConfig(const char *text, size_t size, const semdns_artifact &artifact,
                 const Regions &before, Config &config, EndpointLine *endpoints, uint32_t capacity,
                 Policy &policy, semdns_error *error);

} // namespace semdns::dispatch
