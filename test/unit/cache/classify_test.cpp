/// The cache in front of the cascade, through the dispatcher: random artifacts with a stage 3.
#include "runtime/cache/keys.h"
#include "semdns/dispatch.h"
#include "test/unit/runtime/make_artifact.h"
#include "test/unit/runtime/with_encoder.h"
#include "tools/count_allocations.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

using namespace semdns;

namespace {

constexpr uint64_t kSecond = 1000000000u, kStart = 1000 * kSecond;

struct Free {
  void operator()(void *memory) const { std::free(memory); }
};

struct Bench {
  test::TestModel model;
  semdns_artifact *artifact = nullptr;
  semdns_resolver *resolver = nullptr;
  semdns_scratch *scratch = nullptr;
  semdns_dispatcher *dispatcher = nullptr;
  std::unique_ptr<void, Free> memory;

  explicit Bench(uint64_t cacheBytes = 1 << 20, uint32_t zoneFlags = 0, uint32_t tokenCost = 1000,
                 uint64_t serial = 7)
      : model(test::makeEncoderModel({.rootClass = true}, tokenCost)) {
    for (spec::Zone &zone : model.tree.zones)
      zone.flags |= zoneFlags;
    artifact = open(serial);
    semdns_error error = {};
    error.size = sizeof error;
    EXPECT_EQ(semdns_resolver_create(artifact, nullptr, &resolver, &error), SEMDNS_OK);
    EXPECT_EQ(semdns_scratch_create(resolver, &scratch, &error), SEMDNS_OK);
    semdns_dispatcher_options options = {};
    options.size = sizeof options;
    options.cache_bytes = cacheBytes;
    const size_t size = semdns_dispatcher_size(&options);
    memory.reset(std::aligned_alloc(64, size));
    EXPECT_EQ(semdns_dispatcher_init(resolver, &options, memory.get(), size, &dispatcher, &error),
              SEMDNS_OK)
        << error.message;
  }
  ~Bench() {
    semdns_dispatcher_deinit(dispatcher);
    semdns_scratch_destroy(scratch);
    semdns_resolver_destroy(resolver);
    semdns_artifact_release(artifact);
  }
  semdns_artifact *open(uint64_t serial) {
    const std::string bytes = test::packArtifact(model, {}, serial);
    semdns_artifact *out = nullptr;
    semdns_error error = {};
    error.size = sizeof error;
    EXPECT_EQ(semdns_artifact_open_memory(bytes.data(), bytes.size(), nullptr, &out, &error),
              SEMDNS_OK)
        << error.message;
    return out;
  }

  semdns_answer ask(const std::string &text, uint64_t now, const std::string &scope = "",
                    uint64_t deadline = 0, const std::string &context = "") {
    const semdns_query q = query(text, scope, deadline, context);
    semdns_answer answer;
    std::memset(&answer, 0, sizeof answer);
    answer.size = sizeof answer;
    EXPECT_EQ(semdns_dispatcher_resolve(dispatcher, scratch, &q, now, &answer), SEMDNS_OK);
    return answer;
  }
  semdns_answer plain(const std::string &text, uint64_t now, uint64_t deadline = 0) {
    semdns_query q = query(text, "", deadline, "");
    q.now = now;
    semdns_answer answer;
    std::memset(&answer, 0, sizeof answer);
    answer.size = sizeof answer;
    EXPECT_EQ(semdns_resolve(resolver, scratch, &q, &answer), SEMDNS_OK);
    return answer;
  }
  static semdns_query query(const std::string &text, const std::string &scope, uint64_t deadline,
                            const std::string &context) {
    semdns_query q = {};
    q.size = sizeof q;
    q.text = text.data();
    q.text_size = text.size();
    q.context = context.data();
    q.context_size = context.size();
    q.scope = scope.data();
    q.scope_size = scope.size();
    q.deadline = deadline;
    q.top_k = 3;
    return q;
  }
  semdns_stats stats() {
    semdns_stats s = {};
    s.size = sizeof s;
    EXPECT_EQ(semdns_dispatcher_stats(dispatcher, &s), SEMDNS_OK);
    return s;
  }
  /// Texts that stage 3 decides, up to `count`.
  std::vector<std::string> hard(size_t count, uint64_t seed = 1) {
    std::mt19937_64 random(seed);
    std::vector<std::string> out;
    for (int i = 0; out.size() < count && i < 100000; ++i) {
      const std::string text = test::randomText(random, model, 2 + random() % 6);
      if (plain(text, kStart).stage == SEMDNS_STAGE_ENCODER)
        out.push_back(text);
    }
    EXPECT_EQ(out.size(), count);
    return out;
  }
};

/// Equal but for what a cache must change.
bool same(semdns_answer a, semdns_answer b) {
  for (semdns_answer *x : {&a, &b}) {
    x->cached = x->ttl = 0;
    for (uint32_t i = x->zone_count; i < SEMDNS_TOP_MAX; ++i)
      x->zones[i] = {};
    for (uint32_t i = x->chain_count; i < SEMDNS_CHAIN_MAX; ++i)
      x->chain[i] = {};
    for (uint32_t i = x->engine_count; i < SEMDNS_ENGINES_MAX; ++i)
      x->engines[i] = {};
  }
  return !std::memcmp(&a, &b, sizeof a);
}

TEST(Classify, AHitIsTheAnswerAsItWas) {
  Bench s;
  std::mt19937_64 random(5);
  uint32_t hits = 0, three = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string text = i % 10 ? test::randomText(random, s.model, 1 + random() % 12)
                                    : test::hostileText(random, random() % 300);
    const semdns_answer want = s.plain(text, kStart);
    const semdns_answer first = s.ask(text, kStart), again = s.ask(text, kStart + 1);
    EXPECT_TRUE(same(first, want));
    EXPECT_TRUE(same(again, want));
    EXPECT_EQ(again.cached, SEMDNS_CACHED);
    EXPECT_LE(again.ttl, first.ttl);
    hits += again.cached;
    three += want.stage == SEMDNS_STAGE_ENCODER;
  }
  EXPECT_EQ(hits, 3000u);
  EXPECT_GT(three, 100u);
  EXPECT_GE(s.stats().cache_hits, 3000u);
}

TEST(Classify, SpellingsThatNoStageTellsApartShareAKey) {
  Bench s;
  EXPECT_EQ(s.ask("Who goes there", kStart).cached, 0u);
  EXPECT_EQ(s.ask("who goes there", kStart).cached, SEMDNS_CACHED);
  EXPECT_EQ(s.ask("  who\t\n goes   there ", kStart).cached, SEMDNS_CACHED);
  EXPECT_EQ(s.ask("whogoes there", kStart).cached, 0u);
  EXPECT_EQ(s.ask("who goes there?", kStart).cached, 0u);
  EXPECT_EQ(s.ask("", kStart).cached, 0u);
  EXPECT_EQ(s.ask(" \n", kStart).cached, SEMDNS_CACHED);
}

TEST(Classify, LongTextsInPieces) {
  // Around the sizes at which the normalised text is handed on.
  Bench s;
  const semdns_artifact &a = *s.artifact;
  for (const size_t size : {500u, 511u, 512u, 513u, 1024u, 5000u}) {
    const std::string spaced(600, ' ');
    const std::string text(size, 'x');
    const auto key = [&](const std::string &t) {
      const semdns_query q = Bench::query(t, "", 0, "");
      cache::Keys keys;
      cache::textKeys({1, 2}, a, q, keys);
      return keys.own;
    };
    EXPECT_TRUE(key(text) == key(text + spaced));
    EXPECT_TRUE(key(text) == key(spaced + text));
    EXPECT_TRUE(key(text + " y") == key(text + spaced + "Y"));
    EXPECT_FALSE(key(text) == key(text + "x"));
    EXPECT_FALSE(key(text + " y") == key(text + "y"));
  }
}

TEST(Classify, NormalisedAsIfByteByByte) {
  Bench s;
  const auto slow = [](const std::string &text) {
    std::string out;
    for (const char c : text) {
      const bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
      if (space ? !out.empty() && out.back() != ' ' : true)
        out += space ? ' ' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    }
    if (!out.empty() && out.back() == ' ')
      out.pop_back();
    return out;
  };
  const auto key = [&](const std::string &t) {
    const semdns_query q = Bench::query(t, "", 0, "");
    cache::Keys keys;
    cache::textKeys({1, 2}, *s.artifact, q, keys);
    return keys.own;
  };
  std::mt19937_64 random(9);
  static const char kChars[] = "aAzZ@[`{ \t\n\r\v\x7f\x80\xff  bB";
  for (int i = 0; i < 200000; ++i) {
    std::string text;
    const size_t size = random() % (i % 100 ? 30 : 700);
    const bool calm = random() % 2;
    while (text.size() < size)
      text += calm && random() % 8 ? 'x' : kChars[random() % (sizeof kChars - 1)];
    const std::string normal = slow(text);
    ASSERT_TRUE(key(text) == key(normal)) << i;
    // One byte more or less is another text.
    std::string other = normal;
    if (other.empty() || random() % 2)
      other += 'q';
    else
      other[random() % other.size()] ^= 0x40;
    if (slow(other) != normal) {
      ASSERT_FALSE(key(other) == key(normal)) << i;
    }
  }
}

TEST(Classify, InputsThatStageThreeReadsTheSame) {
  Bench s;
  const std::string text = s.hard(1)[0];
  EXPECT_EQ(s.ask(text, kStart).cached, 0u);
  // A vertical tab is a space, too, but not to the first key.
  const semdns_answer other = s.ask("\v" + text, kStart);
  EXPECT_EQ(other.cached, SEMDNS_CACHED);
  EXPECT_EQ(s.stats().cache_input_hits, 1u);
  EXPECT_EQ(s.ask("\v" + text, kStart).cached, SEMDNS_CACHED);
  EXPECT_EQ(s.stats().cache_hits, 1u);
  EXPECT_EQ(s.stats().cache_encoded, 1u);
}

TEST(Classify, ContextAndScopeAreApart) {
  Bench s;
  std::string text(100, 'x');
  for (const std::string &t : s.hard(200)) // a token is a letter: room must be left for a context
    text = t.size() < text.size() ? t : text;
  s.ask(text, kStart);
  EXPECT_EQ(s.ask(text, kStart, "", 0, "before").cached, 0u);
  EXPECT_EQ(s.ask(text, kStart, "", 0, "before").cached, SEMDNS_CACHED);
  EXPECT_EQ(s.ask(text, kStart, "a").cached, 0u);
  EXPECT_EQ(s.ask(text, kStart, "b").cached, 0u);
  EXPECT_EQ(s.ask(text, kStart, "a").cached, SEMDNS_CACHED);
  EXPECT_EQ(s.ask(text, kStart).cached, SEMDNS_CACHED);
}

TEST(Classify, ShareableZonesAreShared) {
  Bench s(1 << 20, SEMDNS_ZONE_SHAREABLE);
  const std::string text = s.hard(1)[0];
  EXPECT_EQ(s.ask(text, kStart, "a").cached, 0u);
  EXPECT_EQ(s.ask(text, kStart, "b").cached, SEMDNS_CACHED);
  EXPECT_EQ(s.stats().cache_encoded, 1u);
}

TEST(Classify, TimePasses) {
  Bench s;
  const std::string text = s.hard(1)[0];
  const semdns_answer first = s.ask(text, kStart);
  ASSERT_GT(first.ttl, 100u);
  const uint64_t age = (first.ttl - 50) * kSecond;
  EXPECT_NEAR(s.ask(text, kStart + age).ttl, 50, 1);
  EXPECT_EQ(s.ask(text, kStart + (first.ttl + 1) * kSecond).cached, 0u);
  // The clock goes back: no more is left than there ever was.
  const semdns_answer renewed = s.ask(text, kStart + (first.ttl + 2) * kSecond);
  EXPECT_EQ(renewed.cached, SEMDNS_CACHED);
  EXPECT_LE(s.ask(text, 1).ttl, renewed.ttl + 1);
}

TEST(Classify, AnswersInHasteAreNotKept) {
  Bench s(1 << 20, 0, 1000000);
  const std::string text = s.hard(1)[0];
  const uint64_t soon = kStart + 1000; // stage 3 would not be through
  const semdns_answer hasty = s.ask(text, kStart, "", soon);
  EXPECT_TRUE(same(hasty, s.plain(text, kStart, soon)));
  EXPECT_EQ(hasty.cached, 0u);
  EXPECT_EQ(s.stats().cache_entries, 0u);
  EXPECT_EQ(s.ask(text, kStart).stage, SEMDNS_STAGE_ENCODER);
  EXPECT_EQ(s.ask(text, kStart, "", soon).cached, SEMDNS_CACHED); // there is time for a hit
  EXPECT_EQ(s.ask(text, soon + 1, "", soon).status, uint32_t(SEMDNS_TIMEOUT));
}

TEST(Classify, StaleInNeedAlone) {
  Bench s(1 << 20, 0, 1000000);
  const std::string text = s.hard(1)[0];
  const semdns_answer before = s.ask(text, kStart);
  semdns_artifact *next = s.open(8);
  ASSERT_EQ(semdns_resolver_swap(s.resolver, next, nullptr), SEMDNS_OK);
  semdns_artifact_release(next);
  semdns_answer stale = s.ask(text, kStart, "", kStart + 1000);
  EXPECT_EQ(stale.cached, SEMDNS_CACHED_STALE);
  EXPECT_EQ(stale.reason, uint32_t(SEMDNS_REASON_STALE));
  EXPECT_EQ(stale.zone.index, before.zone.index);
  EXPECT_EQ(stale.ttl, 30u);
  const semdns_answer fresh = s.ask(text, kStart); // in time: computed
  EXPECT_EQ(fresh.cached, 0u);
  EXPECT_EQ(fresh.serial, 8u);
  // Expired: in need for a day.
  const uint64_t late = kStart + (fresh.ttl + 10) * kSecond;
  EXPECT_EQ(s.ask(text, late, "", late + 1000).cached, SEMDNS_CACHED_STALE);
  const uint64_t later = late + 86400 * kSecond;
  EXPECT_EQ(s.ask(text, later, "", later + 1000).cached, 0u);
  // Never across policies.
  s.ask(text, later);
  const uint64_t last = later + 86400 * kSecond;
  EXPECT_EQ(s.ask(text, last, "", last + 1000).cached, SEMDNS_CACHED_STALE);
  const std::string rules = "policy quiet drop scope=nobody\n";
  ASSERT_EQ(semdns_dispatcher_configure(s.dispatcher, s.artifact, rules.data(), rules.size(), last,
                                        nullptr),
            SEMDNS_OK);
  EXPECT_EQ(s.ask(text, last, "", last + 1000).cached, 0u);
}

TEST(Classify, RestrictedZonesAreNeverStale) {
  Bench s(1 << 20, SEMDNS_ZONE_RESTRICTED, 1000000);
  const std::string text = s.hard(1)[0];
  const semdns_answer fresh = s.ask(text, kStart);
  const uint64_t late = kStart + (fresh.ttl + 10) * kSecond;
  EXPECT_EQ(s.ask(text, late, "", late + 1000).cached, 0u);
}

TEST(Classify, PolicyEpochsAreApart) {
  Bench s;
  const std::string text = s.hard(1)[0];
  s.ask(text, kStart);
  const auto configure = [&](const std::string &rules) {
    return semdns_dispatcher_configure(s.dispatcher, s.artifact, rules.data(), rules.size(), kStart,
                                       nullptr);
  };
  ASSERT_EQ(configure("policy quiet drop scope=nobody\n"), SEMDNS_OK);
  EXPECT_EQ(s.ask(text, kStart).cached, 0u);
  EXPECT_EQ(s.ask(text, kStart).cached, SEMDNS_CACHED);
  // The same rules beside other settings: what was classified stays good.
  ASSERT_EQ(configure("set tries 2\npolicy quiet drop scope=nobody\n"), SEMDNS_OK);
  EXPECT_EQ(s.ask(text, kStart).cached, SEMDNS_CACHED);
}

TEST(Classify, Flush) {
  Bench s;
  const std::vector<std::string> texts = s.hard(20);
  const auto fill = [&] {
    for (const std::string &t : texts)
      for (const char *scope : {"a", "b"})
        s.ask(t, kStart, scope);
  };
  const auto cached = [&](const char *scope) {
    uint32_t n = 0;
    const semdns_stats before = s.stats();
    for (const std::string &t : texts)
      n += s.ask(t, kStart, scope).cached;
    (void)before;
    return n;
  };
  semdns_flush f = {};
  f.size = sizeof f;
  uint64_t dropped = 0;
  fill();
  f.what = SEMDNS_FLUSH_SCOPE;
  f.scope = "a";
  f.scope_size = 1;
  ASSERT_EQ(semdns_cache_flush(s.dispatcher, &f, &dropped), SEMDNS_OK);
  EXPECT_GE(dropped, 20u);
  EXPECT_EQ(cached("b"), 20u);
  EXPECT_LT(cached("a"), 20u);
  f.what = SEMDNS_FLUSH_SERIAL;
  f.serial = 6;
  ASSERT_EQ(semdns_cache_flush(s.dispatcher, &f, &dropped), SEMDNS_OK);
  EXPECT_EQ(dropped, 0u);
  f.serial = 7;
  ASSERT_EQ(semdns_cache_flush(s.dispatcher, &f, &dropped), SEMDNS_OK);
  EXPECT_EQ(s.stats().cache_entries, 0u);
  fill();
  f = {};
  f.size = sizeof f;
  f.what = SEMDNS_FLUSH_ZONE;
  f.artifact = s.artifact;
  f.zone = "no.such.";
  EXPECT_EQ(semdns_cache_flush(s.dispatcher, &f, &dropped), SEMDNS_ERROR_ARGUMENT);
  f.zone = ".";
  ASSERT_EQ(semdns_cache_flush(s.dispatcher, &f, &dropped), SEMDNS_OK);
  EXPECT_EQ(s.stats().cache_entries, 0u);
}

TEST(Classify, OneIsToldToRefresh) {
  Bench s;
  const std::string text = s.hard(1)[0];
  const semdns_answer first = s.ask(text, kStart);
  const uint64_t soon = kStart + first.ttl * kSecond - kSecond;
  semdns_query plain = Bench::query(text, "", 0, "");
  semdns_dispatch_query q = {};
  q.size = sizeof q;
  q.query = &plain;
  uint32_t told = 0;
  for (int i = 0; i < 5; ++i) {
    uint64_t ticket;
    ASSERT_EQ(semdns_query_begin(s.dispatcher, s.scratch, &q, soon, &ticket), SEMDNS_OK);
    semdns_step step = {};
    step.size = sizeof step;
    ASSERT_EQ(semdns_query_next(s.dispatcher, ticket, soon, &step), SEMDNS_OK);
    semdns_query_cancel(s.dispatcher, ticket, soon);
    semdns_query_next(s.dispatcher, ticket, soon, &step);
    EXPECT_EQ(step.answer.cached, SEMDNS_CACHED);
    told += step.answer.refresh;
    semdns_query_end(s.dispatcher, ticket, soon);
  }
  EXPECT_EQ(told, 1u);
  semdns_answer renewed = {};
  renewed.size = sizeof renewed;
  ASSERT_EQ(semdns_dispatcher_refresh(s.dispatcher, s.scratch, &plain, soon, &renewed), SEMDNS_OK);
  EXPECT_EQ(renewed.cached, 0u);
  const semdns_answer after = s.ask(text, soon + 2 * kSecond);
  EXPECT_EQ(after.cached, SEMDNS_CACHED);
  EXPECT_GT(after.ttl, 100u);
}

TEST(Classify, ACacheSmallerThanOneEntry) {
  Bench s;
  semdns_dispatcher_options options = {};
  options.size = sizeof options;
  options.cache_bytes = 100;
  EXPECT_EQ(semdns_dispatcher_size(&options), 0u);
  semdns_error error = {};
  error.size = sizeof error;
  semdns_dispatcher *none = nullptr;
  alignas(64) static char memory[64];
  EXPECT_EQ(semdns_dispatcher_init(s.resolver, &options, memory, sizeof memory, &none, &error),
            SEMDNS_ERROR_ARGUMENT);
  EXPECT_NE(std::strstr(error.message, "less than one entry"), nullptr) << error.message;
}

// ---- Single flight ------------------------------------------------------------------------------

struct Asked {
  uint64_t ticket = 0;
  semdns_step step = {};
};

Asked begin(Bench &s, const std::string &text, uint64_t now, uint32_t flags, uint64_t deadline = 0,
            const std::string &scope = "") {
  const semdns_query plain = Bench::query(text, scope, deadline, "");
  semdns_dispatch_query q = {};
  q.size = sizeof q;
  q.query = &plain;
  q.flags = flags;
  Asked a;
  a.step.size = sizeof a.step;
  EXPECT_EQ(semdns_query_begin(s.dispatcher, s.scratch, &q, now, &a.ticket), SEMDNS_OK);
  EXPECT_EQ(semdns_query_next(s.dispatcher, a.ticket, now, &a.step), SEMDNS_OK);
  return a;
}
uint32_t next(Bench &s, Asked &a, uint64_t now) {
  EXPECT_EQ(semdns_query_next(s.dispatcher, a.ticket, now, &a.step), SEMDNS_OK);
  return a.step.action;
}

TEST(Flight, FollowersWaitAndSurviveTheLeader) {
  Bench s;
  const std::string text = s.hard(1)[0];
  Asked leader = begin(s, text, kStart, SEMDNS_DISPATCH_LATER);
  EXPECT_EQ(leader.step.action, uint32_t(SEMDNS_CLASSIFY));
  Asked b = begin(s, text, kStart, SEMDNS_DISPATCH_LATER),
        c = begin(s, text, kStart, SEMDNS_DISPATCH_LATER),
        late = begin(s, text, kStart, SEMDNS_DISPATCH_LATER, kStart + kSecond);
  EXPECT_EQ(b.step.action, uint32_t(SEMDNS_WAIT));
  EXPECT_EQ(c.step.action, uint32_t(SEMDNS_WAIT));
  EXPECT_EQ(semdns_query_classify(s.dispatcher, s.scratch, b.ticket, kStart),
            SEMDNS_ERROR_ARGUMENT);
  // Its own deadline.
  EXPECT_EQ(next(s, late, kStart + kSecond), uint32_t(SEMDNS_DONE));
  EXPECT_EQ(late.step.answer.status, uint32_t(SEMDNS_TIMEOUT));
  // The leader goes; one of the others takes its place.
  semdns_query_cancel(s.dispatcher, leader.ticket, kStart);
  EXPECT_EQ(next(s, leader, kStart), uint32_t(SEMDNS_DONE));
  EXPECT_EQ(next(s, b, kStart), uint32_t(SEMDNS_CLASSIFY));
  EXPECT_EQ(next(s, c, kStart), uint32_t(SEMDNS_WAIT));
  EXPECT_EQ(semdns_query_classify(s.dispatcher, s.scratch, b.ticket, kStart), SEMDNS_OK);
  EXPECT_NE(next(s, b, kStart), uint32_t(SEMDNS_CLASSIFY));
  EXPECT_NE(next(s, b, kStart), uint32_t(SEMDNS_WAIT));
  EXPECT_EQ(next(s, c, kStart), uint32_t(SEMDNS_DONE)); // no endpoints
  EXPECT_EQ(c.step.answer.cached, SEMDNS_CACHED);
  EXPECT_EQ(c.step.answer.stage, uint32_t(SEMDNS_STAGE_ENCODER));
  EXPECT_EQ(s.stats().cache_encoded, 1u);
  for (Asked *a : {&leader, &b, &c, &late})
    semdns_query_end(s.dispatcher, a->ticket, kStart);
  // No flight is left open.
  Asked d = begin(s, text, kStart + 1, SEMDNS_DISPATCH_LATER, 0, "another");
  EXPECT_EQ(d.step.action, uint32_t(SEMDNS_CLASSIFY));
  semdns_query_end(s.dispatcher, d.ticket, kStart + 1);
}

TEST(Flight, WhoCannotWaitComputesForAll) {
  Bench s;
  const std::string text = s.hard(1)[0];
  Asked later = begin(s, text, kStart, SEMDNS_DISPATCH_LATER);
  Asked now = begin(s, text, kStart, 0);
  EXPECT_EQ(now.step.action, uint32_t(SEMDNS_DONE));
  EXPECT_EQ(now.step.answer.cached, 0u);
  EXPECT_EQ(next(s, later, kStart), uint32_t(SEMDNS_DONE));
  EXPECT_EQ(later.step.answer.cached, SEMDNS_CACHED);
  EXPECT_EQ(s.stats().cache_encoded, 1u);
  for (Asked *a : {&later, &now})
    semdns_query_end(s.dispatcher, a->ticket, kStart);
}

TEST(Flight, MoreFlightsThanThereIsRoomFor) {
  Bench s;
  const std::vector<std::string> texts = s.hard(300);
  std::vector<Asked> asked;
  for (const std::string &t : texts)
    asked.push_back(begin(s, t, kStart, SEMDNS_DISPATCH_LATER));
  uint32_t done = 0;
  for (Asked &a : asked) {
    if (a.step.action == SEMDNS_CLASSIFY) {
      EXPECT_EQ(semdns_query_classify(s.dispatcher, s.scratch, a.ticket, kStart), SEMDNS_OK);
    }
    done += next(s, a, kStart) == SEMDNS_DONE;
    semdns_query_end(s.dispatcher, a.ticket, kStart);
  }
  EXPECT_EQ(done, 300u);
}

/// Stampede and reload at once, in real threads: one run of stage 3 per text and scope where
/// nothing is flushed or swapped.
TEST(Flight, ThreadsComputeOnce) {
  Bench s(4 << 20);
  const std::vector<std::string> texts = s.hard(5);
  constexpr uint32_t kThreads = 4, kScopes = 8;
  std::vector<semdns_answer> want;
  for (const std::string &t : texts)
    want.push_back(s.plain(t, kStart));
  std::atomic<uint32_t> wrong{0}, ready{0};
  std::vector<std::thread> threads;
  for (uint32_t thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&, thread] {
      semdns_scratch *scratch;
      ASSERT_EQ(semdns_scratch_create(s.resolver, &scratch, nullptr), SEMDNS_OK);
      ++ready;
      while (ready < kThreads)
        std::this_thread::yield();
      for (uint32_t i = 0; i < texts.size() * kScopes * 4; ++i) {
        const std::string &text = texts[i % texts.size()];
        const std::string scope = std::to_string(i / texts.size() % kScopes);
        const semdns_query plain = Bench::query(text, scope, 0, "");
        semdns_dispatch_query q = {};
        q.size = sizeof q;
        q.query = &plain;
        q.lane = thread;
        uint64_t ticket;
        ASSERT_EQ(semdns_query_begin(s.dispatcher, scratch, &q, kStart, &ticket), SEMDNS_OK);
        semdns_step step = {};
        step.size = sizeof step;
        do {
          ASSERT_EQ(semdns_query_next(s.dispatcher, ticket, kStart, &step), SEMDNS_OK);
          if (step.action == SEMDNS_WAIT)
            std::this_thread::yield();
        } while (step.action != SEMDNS_DONE);
        wrong += step.answer.classified.index != want[i % texts.size()].zone.index;
        semdns_query_end(s.dispatcher, ticket, kStart);
      }
      semdns_scratch_destroy(scratch);
    });
  for (std::thread &t : threads)
    t.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(s.stats().cache_encoded, texts.size() * kScopes);
}

TEST(Flight, ReloadsFlushesAndConfigurationsMeanwhile) {
  Bench s;
  const std::vector<std::string> texts = s.hard(10);
  semdns_artifact *other = s.open(8);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> answers{0};
  std::vector<std::thread> threads;
  for (uint32_t thread = 0; thread < 3; ++thread)
    threads.emplace_back([&, thread] {
      semdns_scratch *scratch;
      ASSERT_EQ(semdns_scratch_create(s.resolver, &scratch, nullptr), SEMDNS_OK);
      for (uint64_t i = 0; !stop || i < 100; ++i) {
        const semdns_query plain = Bench::query(texts[i % texts.size()], "", 0, "");
        semdns_dispatch_query q = {};
        q.size = sizeof q;
        q.query = &plain;
        q.lane = thread;
        q.flags = i % 2 ? SEMDNS_DISPATCH_LATER : 0;
        const uint64_t now = kStart + i * kSecond;
        uint64_t ticket;
        ASSERT_EQ(semdns_query_begin(s.dispatcher, scratch, &q, now, &ticket), SEMDNS_OK);
        semdns_step step = {};
        step.size = sizeof step;
        for (;;) {
          ASSERT_EQ(semdns_query_next(s.dispatcher, ticket, now, &step), SEMDNS_OK);
          if (step.action == SEMDNS_DONE)
            break;
          if (step.action == SEMDNS_CLASSIFY) {
            ASSERT_EQ(semdns_query_classify(s.dispatcher, scratch, ticket, now), SEMDNS_OK);
          } else {
            std::this_thread::yield();
          }
        }
        ++answers;
        semdns_query_end(s.dispatcher, ticket, now);
      }
      semdns_scratch_destroy(scratch);
    });
  for (uint32_t i = 0; i < 200; ++i) {
    semdns_resolver_swap(s.resolver, i % 2 ? s.artifact : other, nullptr);
    semdns_flush f = {};
    f.size = sizeof f;
    semdns_cache_flush(s.dispatcher, &f, nullptr);
    semdns_dispatcher_configure(s.dispatcher, s.artifact, "set cache-quota 50\n", 19, kStart,
                                nullptr);
    semdns_maintain(s.dispatcher, kStart, 100);
    s.stats();
    std::this_thread::yield();
  }
  stop = true;
  for (std::thread &t : threads)
    t.join();
  EXPECT_GE(answers, 300u);
  EXPECT_EQ(s.stats().queries, s.stats().answers);
  EXPECT_EQ(s.stats().tickets, 0u);
  semdns_artifact_release(other);
}

// ---- What it costs ------------------------------------------------------------------------------

TEST(Classify, AllocatesNothing) {
  if (!allocationsAreCounted())
    GTEST_SKIP() << "a sanitizer has the allocator";
  Bench s(100 * 1000);
  const std::vector<std::string> texts = s.hard(100);
  const uint64_t before = allocationsSoFar();
  semdns_answer answer;
  answer.size = sizeof answer;
  for (uint32_t i = 0; i < 1000; ++i) {
    const semdns_query q = Bench::query(texts[i * 7 % 100], "", 0, "");
    semdns_dispatcher_resolve(s.dispatcher, s.scratch, &q, kStart + i * kSecond, &answer);
    semdns_dispatcher_refresh(s.dispatcher, s.scratch, &q, kStart + i * kSecond, &answer);
  }
  EXPECT_EQ(allocationsSoFar() - before, 0u);
}

/// Queries of three stages in two scopes through a cache that is too small: each as memoised.
TEST(Classify, Soak) {
  Bench s(60 * 1000);
  std::mt19937_64 random(11);
  struct Memo {
    std::string text;
    semdns_answer answer;
  };
  std::vector<Memo> memo;
  for (int i = 0; i < 600; ++i) {
    const std::string text = test::randomText(random, s.model, 1 + random() % 10);
    memo.push_back({text, s.plain(text, kStart)});
  }
  const std::string scopes[] = {"one", "two"};
  uint64_t different = 0, hits = 0;
  uint64_t now = kStart;
  for (int i = 0; i < 60000; ++i) {
    const Memo &m = memo[random() % memo.size() * (random() % 1000) / 1000];
    now += random() % (kSecond * 2);
    const semdns_answer got = s.ask(m.text, now, scopes[random() % 2]);
    different += !same(got, m.answer);
    hits += got.cached == SEMDNS_CACHED;
  }
  EXPECT_EQ(different, 0u);
  EXPECT_GT(hits, 10000u);
  EXPECT_GT(s.stats().cache_evictions, 100u);
}

} // namespace
