#include "runtime/dispatch/config.h"

#include "runtime/dispatch/atomics.h"
#include "runtime/resolve/artifact.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace semdns::dispatch {
namespace {

struct Word {
  const char *text;
  size_t size;
  uint32_t column; ///< from 1
};

bool same(const Word &word, const char *text) {
  return strlen(text) == word.size && !memcmp(word.text, text, word.size);
}

/// Levenshtein's distance of short words; longer ones are as far as can be.
uint32_t distanceOf(const Word &a, const char *b) {
  constexpr size_t kLongest = 96;
  const size_t m = strlen(b);
  if (a.size > kLongest || m > kLongest)
    return UINT32_MAX;
  uint8_t row[kLongest + 1];
  for (size_t j = 0; j <= m; ++j)
    row[j] = static_cast<uint8_t>(j);
  for (size_t i = 1; i <= a.size; ++i) {
    uint8_t diagonal = row[0];
    row[0] = static_cast<uint8_t>(i);
    for (size_t j = 1; j <= m; ++j) {
      const uint8_t change = static_cast<uint8_t>(diagonal + (a.text[i - 1] != b[j - 1]));
      diagonal = row[j];
      uint8_t least = row[j - 1] < row[j] ? row[j - 1] : row[j];
      ++least;
      row[j] = change < least ? change : least;
    }
  }
  return row[m];
}

/// The nearest of what it is offered, if near enough for a slip of the finger.
struct Nearest {
  Word word;
  const char *best = nullptr;
  uint32_t distance;
  explicit Nearest(const Word &w) : word(w), distance(static_cast<uint32_t>(2 + w.size / 4)) {}
  void offer(const char *candidate) {
    const uint32_t d = distanceOf(word, candidate);
    if (d < distance) {
      distance = d;
      best = candidate;
    }
  }
};

struct Parser {
  const semdns_artifact &artifact;
  Config &config;
  EndpointLine *endpoints;
  uint32_t capacity;
  Policy &policy;
  semdns_error *error;
  uint32_t line = 0;
  const char *at = nullptr, *lineStart = nullptr, *lineEnd = nullptr;

  [[gnu::format(printf, 3, 4)]] bool fail(const Word &where, const char *format, ...) {
    if (!error || error->size < sizeof *error)
      return false;
    error->code = SEMDNS_ERROR_ARGUMENT;
    error->section[0] = 0;
    error->offset = 0;
    const int n = snprintf(error->message, sizeof error->message, "%u:%u: ", line, where.column);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message + n, sizeof error->message - static_cast<size_t>(n), format,
              arguments);
    va_end(arguments);
    return false;
  }
  bool unknown(const char *what, const Nearest &nearest) {
    const int size = static_cast<int>(nearest.word.size < 80 ? nearest.word.size : 80);
    if (nearest.best)
      return fail(nearest.word, "unknown %s '%.*s'; did you mean '%.80s'?", what, size,
                  nearest.word.text, nearest.best);
    return fail(nearest.word, "unknown %s '%.*s'", what, size, nearest.word.text);
  }

  bool next(Word &word) {
    while (at < lineEnd && (*at == ' ' || *at == '\t' || *at == '\r'))
      ++at;
    word = {at, 0, static_cast<uint32_t>(at - lineStart) + 1};
    if (at == lineEnd || *at == '#')
      return false;
    bool quoted = false;
    for (; at < lineEnd && (quoted || (*at != ' ' && *at != '\t' && *at != '\r' && *at != '#'));
         ++at)
      quoted ^= *at == '"';
    word.size = static_cast<size_t>(at - word.text);
    return true;
  }
  bool need(Word &word, const char *what) { return next(word) || fail(word, "expected %s", what); }

  /// "key=value"; the columns of both are known.
  bool pair(const Word &word, Word &key, Word &value) {
    const auto *equals = static_cast<const char *>(memchr(word.text, '=', word.size));
    if (!equals || equals == word.text)
      return fail(word, "expected key=value");
    const auto size = static_cast<size_t>(equals - word.text);
    key = {word.text, size, word.column};
    value = {equals + 1, word.size - size - 1, word.column + static_cast<uint32_t>(size) + 1};
    return value.size || fail(value, "a value is missing");
  }

  bool number(const Word &word, uint64_t least, uint64_t most, uint64_t &out) {
    out = 0;
    size_t i = 0;
    for (; i < word.size && word.text[i] >= '0' && word.text[i] <= '9' && out <= most; ++i)
      out = out * 10 + static_cast<uint64_t>(word.text[i] - '0');
    if (i < word.size || !word.size || out < least || out > most)
      return fail(word, "expected a whole number from %llu to %llu",
                  static_cast<unsigned long long>(least), static_cast<unsigned long long>(most));
    return true;
  }

  /// "250ms", "30s", "5m"; up to a day.
  bool duration(const Word &word, uint64_t least, uint64_t &out) {
    uint64_t value = 0;
    size_t i = 0;
    for (; i < word.size && i < 9 && word.text[i] >= '0' && word.text[i] <= '9'; ++i)
      value = value * 10 + static_cast<uint64_t>(word.text[i] - '0');
    const Word unit = {word.text + i, word.size - i, word.column + static_cast<uint32_t>(i)};
    const uint64_t factor = same(unit, "ms")  ? 1000000u
                            : same(unit, "s") ? kSecond
                            : same(unit, "m") ? 60 * kSecond
                                              : 0;
    if (!i || !factor)
      return fail(word, "expected a time like 250ms, 30s or 5m");
    out = value * factor;
    if (out < least || out > 86400 * kSecond)
      return fail(word, "the time must be %llu ms to 1 day",
                  static_cast<unsigned long long>(least / 1000000));
    return true;
  }

  bool set() {
    struct Setting {
      const char *name;
      uint64_t *time;
      uint32_t *number;
      uint64_t least, most;
    };
    Settings &s = config.settings;
    const Setting settings[] = {
        {"hold-down-base", &s.holdBase, nullptr, 1000000, 0},
        {"hold-down-max", &s.holdMax, nullptr, 1000000, 0},
        {"hold-down-slow", &s.holdSlow, nullptr, 1000000, 0},
        {"slow-start", &s.slowStart, nullptr, 0, 0},
        {"attempt-timeout", &s.attemptTimeout, nullptr, 1000000, 0},
        {"stream-lease", &s.streamLease, nullptr, 1000000, 0},
        {"ticket-lease", &s.ticketLease, nullptr, 1000000, 0},
        {"hedge-after", &s.hedgeAfter, nullptr, 0, 0},
        {"cache-stale", &s.cacheStale, nullptr, 0, 0},
        {"cache-negative", &s.cacheNegative, nullptr, 0, 0},
        {"cache-quota", nullptr, &s.cacheQuota, 1, 100},
        {"patience", &s.patience, nullptr, 0, 0},
        {"consecutive-errors", nullptr, &s.consecutiveErrors, 1, 1000},
        {"ejection-cap", nullptr, &s.ejectionCap, 1, 100},
        {"latency-factor", nullptr, &s.latencyFactor, 0, 1000},
        {"retry-budget", nullptr, &s.retryBudget, 0, 100},
        {"retry-minimum", nullptr, &s.retryMinimum, 0, 1000},
        {"explore", nullptr, &s.explore, 0, 200},
        {"learning", nullptr, &s.learning, 0, 1},
        {"log-sample", nullptr, &s.logSample, 0, 1000},
        {"log-climbs", nullptr, &s.logClimbs, 0, 1000},
        {"tries", nullptr, &s.tries, 1, SEMDNS_TRIES_MAX - 1},
    };
    Word name, value;
    if (!need(name, "a setting") || !need(value, "a value"))
      return false;
    Nearest nearest(name);
    for (const Setting &setting : settings) {
      if (!same(name, setting.name)) {
        nearest.offer(setting.name);
        continue;
      }
      if (setting.time)
        return duration(value, setting.least, *setting.time);
      uint64_t n;
      if (!number(value, setting.least, setting.most, n))
        return false;
      *setting.number = static_cast<uint32_t>(n);
      return true;
    }
    return unknown("setting", nearest);
  }

  bool region(const Word &word, uint32_t &out) {
    if (word.size >= SEMDNS_ID_MAX)
      return fail(word, "a region has at most %u bytes", SEMDNS_ID_MAX - 1);
    out = internRegion(config.regions, word.text, word.size);
    return out < kMaxRegions || fail(word, "more than %u regions", kMaxRegions - 1);
  }

  /// The artifact's engine by this name; null with an error otherwise.
  const semdns_engine_choice *engine(const Word &word) {
    Nearest nearest(word);
    const semdns_engine_choice *last = nullptr;
    for (uint32_t z = 0; z < artifact.zoneCount; ++z) {
      const resolve::ZoneView &view = artifact.views[z];
      if (view.engines == last)
        continue; // inherited
      last = view.engines;
      for (uint32_t i = 0; i < view.engineCount; ++i) {
        if (same(word, view.engines[i].name))
          return &view.engines[i];
        nearest.offer(view.engines[i].name);
      }
    }
    unknown("engine", nearest);
    return nullptr;
  }

  bool zone(const Word &word, uint64_t &hash) {
    Nearest nearest(word);
    for (uint32_t z = 0; z < artifact.zoneCount; ++z)
      if (same(word, artifact.views[z].name)) {
        hash = hashBytes(word.text, word.size);
        return true;
      }
    for (uint32_t z = 0; z < artifact.zoneCount; ++z)
      nearest.offer(artifact.views[z].name);
    return unknown("zone", nearest);
  }

  /// Takes the quotation marks off.
  bool unquote(Word &word) {
    if (!word.size || word.text[0] != '"')
      return true;
    if (word.size < 2 || word.text[word.size - 1] != '"')
      return fail(word, "the quotation does not end here");
    ++word.text;
    ++word.column;
    word.size -= 2;
    return true;
  }

  bool pattern(Word value, uint32_t rule) {
    if (!unquote(value))
      return false;
    uint64_t words[SEMDNS_MAX_WORDS], features[SEMDNS_MAX_WORDS];
    const uint32_t all = resolve::wordsOf(artifact, value.text, value.size, words, features);
    uint32_t count = 0;
    for (uint32_t i = 0; i < all; ++i)
      if (!(words[i] & 1)) // punctuation parts no pattern
        words[count++] = words[i];
    if (!count || count > kMaxPatternWords)
      return fail(value, "a pattern has 1 to %u words, this one %u", kMaxPatternWords, count);
    return addPattern(policy, rule, words, count) ||
           fail(value, "more than %u words in all patterns (max_policy_words)", policy.capacity);
  }

  bool policyRule() {
    static constexpr const char *kKeys[] = {"to", "zone", "scope", "text"};
    static constexpr const char *kActions[] = {"block", "drop", "pin", "pass"};
    Word name, action, word, key, value;
    if (!need(name, "a name for the rule") || !need(action, "block, drop, pin or pass"))
      return false;
    if (name.size >= SEMDNS_ID_MAX)
      return fail(name, "a rule's name has at most %u bytes", SEMDNS_ID_MAX - 1);
    if (policy.ruleCount == kMaxPolicyRules)
      return fail(name, "more than %u policy rules", kMaxPolicyRules);
    for (uint32_t i = 0; i < policy.ruleCount; ++i)
      if (same(name, policy.rules[i].name))
        return fail(name, "policy rule '%s' is there already", policy.rules[i].name);
    PolicyRule &rule = policy.rules[policy.ruleCount];
    memset(static_cast<void *>(&rule), 0, sizeof rule);
    memcpy(rule.name, name.text, name.size);
    Nearest nearest(action);
    for (uint8_t i = 0; i < 4; ++i) {
      if (same(action, kActions[i]))
        rule.action = static_cast<PolicyAction>(i + 1);
      nearest.offer(kActions[i]);
    }
    if (rule.action == PolicyAction::None)
      return unknown("action", nearest);
    while (next(word)) {
      if (!pair(word, key, value))
        return false;
      uint64_t hash;
      if (same(key, "to")) {
        if (!zone(value, hash))
          return false;
        if (value.size >= kZoneNameMax)
          return fail(value, "a zone's name has at most %u bytes", kZoneNameMax - 1);
        memcpy(rule.target, value.text, value.size);
      } else if (same(key, "zone")) {
        if (!zone(value, rule.zone))
          return false;
        rule.after = true;
      } else if (same(key, "scope")) {
        if (!unquote(value))
          return false;
        rule.scope = hashBytes(value.text, value.size);
      } else if (same(key, "text")) {
        if (!pattern(value, policy.ruleCount))
          return false;
        rule.hasText = true;
      } else {
        return badKey(key, kKeys, 4);
      }
    }
    if ((rule.action == PolicyAction::Pin) != (rule.target[0] != 0))
      return fail(word, rule.target[0] ? "only pin has to=ZONE" : "to=ZONE is missing");
    policy.textRules += rule.hasText;
    ++(rule.after ? policy.afterRules : policy.beforeRules);
    ++policy.ruleCount;
    return true;
  }

  bool badKey(const Word &key, const char *const *keys, size_t count) {
    Nearest nearest(key);
    for (size_t i = 0; i < count; ++i)
      nearest.offer(keys[i]);
    return unknown("key", nearest);
  }

  bool endpoint() {
    static constexpr const char *kKeys[] = {"engine",   "region", "weight",
                                            "capacity", "blocks", "speed"};
    Word id, word, key, value;
    if (!need(id, "an endpoint's id"))
      return false;
    if (id.size >= SEMDNS_ID_MAX)
      return fail(id, "an id has at most %u bytes", SEMDNS_ID_MAX - 1);
    if (config.endpointCount == capacity)
      return fail(id, "more than %u endpoints", capacity);
    for (uint32_t i = 0; i < config.endpointCount; ++i)
      if (same(id, endpoints[i].id))
        return fail(id, "endpoint '%s' is there already", endpoints[i].id);
    EndpointLine &out = endpoints[config.endpointCount];
    out = EndpointLine();
    memcpy(out.id, id.text, id.size);
    out.traits.region = kMaxRegions;
    const semdns_engine_choice *named = nullptr;
    while (next(word)) {
      uint64_t n;
      if (!pair(word, key, value))
        return false;
      if (same(key, "engine")) {
        if (value.size >= SEMDNS_ID_MAX)
          return fail(value, "an engine with endpoints has at most %u bytes", SEMDNS_ID_MAX - 1);
        if (!(named = engine(value)))
          return false;
        memset(out.engine, 0, sizeof out.engine);
        memcpy(out.engine, value.text, value.size);
      } else if (same(key, "region")) {
        if (!region(value, out.traits.region))
          return false;
      } else if (same(key, "weight")) {
        if (!number(value, 1, 1000, n))
          return false;
        out.traits.weight = static_cast<uint32_t>(n);
      } else if (same(key, "capacity")) {
        if (!number(value, 1, 1u << 20, n))
          return false;
        out.traits.capacity = static_cast<uint32_t>(n);
      } else if (same(key, "blocks")) {
        if (!number(value, 1, kMostBlocks, n))
          return false;
        out.traits.blocks = static_cast<uint32_t>(n);
      } else if (same(key, "speed")) {
        if (!number(value, kLeastSpeed, kMostSpeed, n))
          return false;
        out.traits.speed = static_cast<uint32_t>(n);
      } else {
        return badKey(key, kKeys, sizeof kKeys / sizeof *kKeys);
      }
    }
    if (!named)
      return fail(word, "engine=NAME is missing");
    if (out.traits.region == kMaxRegions) {
      const Word where = {named->region, strlen(named->region), id.column};
      if (!region(where, out.traits.region))
        return false;
    }
    ++config.endpointCount;
    return true;
  }

  bool weights(const Word &value, uint32_t *out) {
    size_t start = 0;
    for (uint32_t term = 0; term < kTerms; ++term) {
      size_t end = start;
      while (end < value.size && value.text[end] != ',')
        ++end;
      const Word part = {value.text + start, end - start,
                         value.column + static_cast<uint32_t>(start)};
      if ((end == value.size) != (term + 1 == kTerms))
        return fail(value,
                    "expected five weights: utilisation,complexity,affinity,geography,history");
      uint64_t n;
      if (!number(part, 0, 1000, n))
        return false;
      out[term] = static_cast<uint32_t>(n);
      start = end + 1;
    }
    return true;
  }

  bool zoneRule() {
    static constexpr const char *kKeys[] = {"select", "weights", "policy", "engines"};
    static constexpr const char *kMethods[] = {"score", "least-loaded", "p2c", "round-robin",
                                               "hash"};
    Word name, word, key, value;
    if (!need(name, "a zone"))
      return false;
    ZoneRule rule = {};
    for (uint32_t i = 0; i < kTerms; ++i)
      rule.rules.weights[i] = kDefaultWeights[i];
    if (!zone(name, rule.zone))
      return false;
    if (findRule(config, rule.zone) != kNoRule)
      return fail(name, "the zone has a rule already");
    if (config.zoneCount == kMaxZoneRules)
      return fail(name, "more than %u zone rules", kMaxZoneRules);
    while (next(word)) {
      if (!pair(word, key, value))
        return false;
      if (same(key, "select")) {
        Nearest nearest(value);
        uint8_t i = 0;
        for (; i < 5 && !same(value, kMethods[i]); ++i)
          nearest.offer(kMethods[i]);
        if (i == 5)
          return unknown("way to select", nearest);
        rule.rules.method = static_cast<Method>(i);
      } else if (same(key, "weights")) {
        if (!weights(value, rule.rules.weights))
          return false;
      } else if (same(key, "policy")) {
        Nearest nearest(value);
        nearest.offer("fail-to-parent");
        nearest.offer("fail-closed");
        if (same(value, "fail-closed"))
          rule.failClosed = true;
        else if (!same(value, "fail-to-parent"))
          return unknown("policy", nearest);
      } else if (same(key, "engines")) {
        Nearest nearest(value);
        nearest.offer("ordered");
        nearest.offer("cheapest");
        if (same(value, "cheapest"))
          rule.rules.cheapest = true;
        else if (!same(value, "ordered"))
          return unknown("order of engines", nearest);
      } else {
        return badKey(key, kKeys, 4);
      }
    }
    config.zones[config.zoneCount++] = rule;
    return true;
  }

  bool bucket() {
    static constexpr const char *kKeys[] = {"zone", "scope", "rate", "burst"};
    Word word, key, value;
    BucketRule rule = {};
    rule.burst = 1;
    while (next(word)) {
      uint64_t n;
      if (!pair(word, key, value))
        return false;
      if (same(key, "zone")) {
        if (!zone(value, rule.zone))
          return false;
      } else if (same(key, "scope")) {
        rule.scope = same(value, "*") ? 0 : hashBytes(value.text, value.size);
      } else if (same(key, "rate")) {
        if (value.size < 3 || memcmp(value.text + value.size - 2, "/s", 2))
          return fail(value, "expected a rate like 100/s");
        value.size -= 2;
        if (!number(value, 1, 1000000, n))
          return false;
        rule.interval = kSecond / n;
      } else if (same(key, "burst")) {
        if (!number(value, 1, 1000000, n))
          return false;
        rule.burst = static_cast<uint32_t>(n);
      } else {
        return badKey(key, kKeys, 4);
      }
    }
    if (!rule.interval)
      return fail(word, "rate=N/s is missing");
    if (config.bucketCount == kMaxBucketRules)
      return fail(word, "more than %u buckets", kMaxBucketRules);
    config.buckets[config.bucketCount++] = rule;
    return true;
  }

  bool distance() {
    Word a, b, value;
    uint32_t x = 0, y = 0;
    uint64_t ns = 0;
    if (!need(a, "a region") || !region(a, x) || !need(b, "a region") || !region(b, y) ||
        !need(value, "a time") || !duration(value, 0, ns))
      return false;
    if (ns > 60 * kSecond)
      return fail(value, "a distance is at most 60s");
    config.distances[x][y] = config.distances[y][x] = static_cast<uint16_t>(ns / 1000000);
    return true;
  }

  bool statement(const Word &verb) {
    static constexpr const char *kVerbs[] = {"set",    "endpoint", "zone",
                                             "bucket", "distance", "policy"};
    Nearest nearest(verb);
    for (const char *known : kVerbs)
      nearest.offer(known);
    const bool done = same(verb, "set")        ? set()
                      : same(verb, "endpoint") ? endpoint()
                      : same(verb, "zone")     ? zoneRule()
                      : same(verb, "bucket")   ? bucket()
                      : same(verb, "distance") ? distance()
                      : same(verb, "policy")   ? policyRule()
                                               : unknown("statement", nearest);
    Word rest;
    if (done && next(rest))
      return fail(rest, "nothing is expected here");
    return done;
  }

  bool parse(const char *text, size_t size) {
    for (const char *end = text + size; text < end; text = lineEnd + 1) {
      const auto *newline =
          static_cast<const char *>(memchr(text, '\n', static_cast<size_t>(end - text)));
      lineStart = at = text;
      lineEnd = newline ? newline : end;
      ++line;
      Word verb;
      if (next(verb) && !statement(verb))
        return false;
    }
    ++line;
    if (config.settings.holdBase > config.settings.holdMax)
      return fail({text, 0, 1}, "hold-down-base is longer than hold-down-max");
    finishPolicy(policy);
    return true;
  }
};

} // namespace

uint32_t findRegion(const Regions &regions, const char *name, size_t size) {
  for (uint32_t i = 0; i < regions.count; ++i)
    if (strlen(regions.name[i]) == size && !memcmp(regions.name[i], name, size))
      return i;
  return kMaxRegions;
}

uint32_t internRegion(Regions &regions, const char *name, size_t size) {
  const uint32_t there = findRegion(regions, name, size);
  if (there < kMaxRegions || regions.count == kMaxRegions || size >= SEMDNS_ID_MAX)
    return there;
  memcpy(regions.name[regions.count], name, size);
  regions.name[regions.count][size] = 0;
  return regions.count++;
}

void clearConfig(Config &config) {
  memset(static_cast<void *>(&config), 0, sizeof config); // too large for a value on the stack
  config.settings = Settings();
  config.regions.count = 1;
  for (uint32_t i = 0; i < kMaxRegions; ++i)
    for (uint32_t j = 0; j < kMaxRegions; ++j)
      config.distances[i][j] = i == j ? 0 : 100;
}

uint32_t findRule(const Config &config, uint64_t zone) {
  for (uint32_t i = 0; i < config.zoneCount; ++i)
    if (config.zones[i].zone == zone)
      return i;
  return kNoRule;
}

bool parseConfig(const char *text, size_t size, const semdns_artifact &artifact,
                 const Regions &before, Config &config, EndpointLine *endpoints, uint32_t capacity,
                 Policy &policy, semdns_error *error) {
  clearConfig(config);
  clearPolicy(policy);
  config.regions = before;
  return Parser{artifact, config, endpoints, capacity, policy, error}.parse(text, size);
}

} // namespace semdns::dispatch
