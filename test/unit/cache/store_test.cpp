/// Hash, store and flights alone.
#include "runtime/cache/classifier.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

using namespace semdns;
using namespace semdns::cache;

namespace {

constexpr uint64_t kSecond = 1000000000u;

struct Free {
  void operator()(void *memory) const { std::free(memory); }
};

struct Cache {
  Store store;
  std::unique_ptr<void, Free> memory;
  explicit Cache(uint64_t budget) {
    const uint64_t size = storeSize(budget);
    EXPECT_LE(size, budget);
    memory.reset(std::aligned_alloc(64, size));
    std::memset(memory.get(), 0, size);
    initStore(store, budget, memory.get());
  }
  ~Cache() { deinitStore(store); }
};

Key keyOf(uint64_t n) {
  SipHash hash(1, 2);
  hash.word(n);
  return hash.finish(0);
}

/// Every field says n.
Entry entryOf(uint64_t n, uint64_t expires = 1000 * kSecond, uint64_t scope = 0) {
  Entry e;
  std::memset(&e, 0, sizeof e);
  e.key = keyOf(n);
  e.digest[0] = e.digest[1] = e.serial = e.zoneName = n;
  e.scope = scope;
  e.expires = expires;
  e.epoch = e.ttl = static_cast<uint32_t>(n);
  e.decision.zone = e.decision.best = e.decision.margin = static_cast<uint32_t>(n);
  e.decision.others = 7;
  for (auto &other : e.decision.other)
    other = {static_cast<uint32_t>(n), static_cast<uint32_t>(n)};
  return e;
}

bool has(const Store &store, uint64_t n) {
  Entry e;
  Place place;
  return find(store, keyOf(n), e, place) && e.serial == n;
}

TEST(SipHash, VectorsOfItsAuthors) {
  // Key 00 01 .. 0f; no bytes, and the byte 00.
  const uint64_t k0 = 0x0706050403020100, k1 = 0x0f0e0d0c0b0a0908;
  const Key none = Sip<2, 4>(k0, k1).finish(0);
  EXPECT_EQ(none.low, 0xe6a825ba047f81a3u);
  EXPECT_EQ(none.high, 0x930255c71472f66du);
  const Key one = Sip<2, 4>(k0, k1).finish(uint64_t(1) << 56);
  EXPECT_EQ(one.low, 0x44af996bd8c187dau);
  EXPECT_EQ(one.high, 0x45fc229b11597634u);
}

TEST(Store, KeepsWhatItIsGiven) {
  Cache c(1 << 20);
  const uint64_t n = capacityOf(c.store) / 2;
  for (uint64_t i = 1; i <= n; ++i)
    ASSERT_TRUE(insert(c.store, entryOf(i), 100, 0, 0));
  for (uint64_t i = 1; i <= n; ++i) {
    Entry e;
    Place place;
    ASSERT_TRUE(find(c.store, keyOf(i), e, place));
    const Entry want = entryOf(i);
    EXPECT_EQ(std::memcmp(&e, &want, sizeof e), 0);
  }
  EXPECT_FALSE(has(c.store, n + 1));
  EXPECT_EQ(countsOf(c.store).entries, n);
}

TEST(Store, OneEntryIsTheLeast) {
  EXPECT_EQ(storeSize(leastBudget() - 1), 0u);
  EXPECT_EQ(storeSize(0), 0u);
  Cache c(leastBudget());
  EXPECT_EQ(capacityOf(c.store), 1u);
  for (uint64_t i = 1; i < 100; ++i) {
    ASSERT_TRUE(insert(c.store, entryOf(i), 100, 0, 0));
    EXPECT_TRUE(has(c.store, i));
  }
  EXPECT_EQ(countsOf(c.store).entries, 1u);
}

TEST(Store, BudgetIsUsed) {
  for (const uint64_t budget : {uint64_t(5000), uint64_t(1) << 16, uint64_t(3000000)}) {
    const uint64_t size = storeSize(budget);
    EXPECT_LE(size, budget);
    EXPECT_GE(size * 10, budget * 8) << budget;
  }
}

TEST(Store, AScanDoesNotEvictWhatIsUsed) {
  Cache c(200 * 1000);
  const uint64_t hot = capacityOf(c.store) / 2;
  for (uint64_t round = 0; round < 4; ++round)
    for (uint64_t i = 1; i <= hot; ++i)
      if (!has(c.store, i))
        insert(c.store, entryOf(i), 100, 0, 0);
  for (uint64_t i = 1; i <= 20 * hot; ++i)
    insert(c.store, entryOf(1000000 + i), 100, 0, 0);
  uint64_t left = 0;
  for (uint64_t i = 1; i <= hot; ++i)
    left += has(c.store, i);
  EXPECT_GE(left * 100, hot * 95);
  EXPECT_GT(countsOf(c.store).evictions, 0u);
}

TEST(Store, WhatHasExpiredMakesRoomFirst) {
  Cache c(60 * 1000);
  const uint64_t n = capacityOf(c.store);
  for (uint64_t i = 1; i <= n; ++i)
    insert(c.store, entryOf(i, (i % 2 ? 10 : 1000) * kSecond), 100, 0, 0);
  for (int round = 0; round < 3; ++round)
    for (uint64_t i = 1; i <= n; ++i)
      has(c.store, i);
  for (uint64_t i = 1; i <= n / 2; ++i)
    insert(c.store, entryOf(100000 + i), 100, 0, 20 * kSecond);
  uint64_t fresh = 0;
  for (uint64_t i = 2; i <= n; i += 2)
    fresh += has(c.store, i);
  EXPECT_EQ(fresh, n / 2);
}

TEST(Store, AScopeHasItsQuota) {
  Cache c(1 << 18);
  const uint64_t n = capacityOf(c.store);
  for (uint64_t i = 1; i <= n / 2; ++i)
    insert(c.store, entryOf(i, 1000 * kSecond, 0x500), 50, 0, 0);
  for (uint64_t i = 1; i <= 10 * n; ++i)
    insert(c.store, entryOf(100000 + i, 1000 * kSecond, 0x700), 50, 0, 0);
  uint64_t left = 0;
  for (uint64_t i = 1; i <= n / 2; ++i)
    left += has(c.store, i);
  EXPECT_EQ(left, n / 2);
  EXPECT_LE(countsOf(c.store).entries, n);
}

TEST(Store, FlushDropsWhatMatchesAndWhatWasUnderWay) {
  Cache c(1 << 20);
  for (uint64_t i = 1; i <= 100; ++i)
    insert(c.store, entryOf(i), 100, 0, 0);
  const uint64_t odd = 1;
  EXPECT_EQ(flush(
                c.store,
                [](const Entry &e, const void *what) {
                  return e.serial % 2 == *static_cast<const uint64_t *>(what);
                },
                &odd),
            50u);
  EXPECT_FALSE(has(c.store, 1));
  EXPECT_TRUE(has(c.store, 2));
  EXPECT_FALSE(insert(c.store, entryOf(1), 100, 0, 0)); // begun before
  EXPECT_TRUE(insert(c.store, entryOf(1), 100, 1, 0));
}

TEST(Store, ExpireDropsAFewAtATime) {
  Cache c(1 << 20);
  for (uint64_t i = 1; i <= 1000; ++i)
    insert(c.store, entryOf(i, i * kSecond), 100, 0, 0);
  EXPECT_EQ(expire(c.store, 500 * kSecond, 100 * kSecond, UINT32_MAX), 400u);
  EXPECT_TRUE(has(c.store, 401));
  EXPECT_FALSE(has(c.store, 400));
  const uint64_t rounds = capacityOf(c.store) / 16;
  uint64_t dropped = 0;
  for (uint64_t i = 0; i <= rounds + 16; ++i)
    dropped += expire(c.store, 2000 * kSecond, 0, 16);
  EXPECT_EQ(dropped, 600u);
}

TEST(Store, OneIsAskedToRefresh) {
  Cache c(1 << 16);
  insert(c.store, entryOf(1), 100, 0, 0);
  Entry e;
  Place place;
  ASSERT_TRUE(find(c.store, keyOf(1), e, place));
  EXPECT_TRUE(offerRefresh(place));
  EXPECT_FALSE(offerRefresh(place));
  insert(c.store, entryOf(1), 100, 0, 0); // renewed
  EXPECT_FALSE(offerRefresh(place));
  ASSERT_TRUE(find(c.store, keyOf(1), e, place));
  EXPECT_TRUE(offerRefresh(place));
}

TEST(Store, TtlIsClampedAndJittered) {
  std::mt19937_64 random(1);
  uint32_t low = UINT32_MAX, high = 0;
  for (int i = 0; i < 100000; ++i) {
    const uint32_t ttl = jitteredTtl(600, 86400, random());
    low = std::min(low, ttl);
    high = std::max(high, ttl);
    EXPECT_LE(jitteredTtl(90000, 86400, random()), 86400000u);
    EXPECT_GE(jitteredTtl(90000, 86400, random()), 77760000u);
    EXPECT_LE(jitteredTtl(86400, 3600, random()), 3600000u);
    EXPECT_EQ(jitteredTtl(0, 86400, random()), 0u);
  }
  EXPECT_NEAR(low, 540000, 20);
  EXPECT_NEAR(high, 660000, 20);
}

TEST(Store, ReadersNeverSeeHalfAnEntry) {
  Cache c(40 * 1000); // a few slots, always evicted
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> found{0}, wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t)
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<uint64_t>(t));
      while (!stop) {
        const uint64_t n = 1 + random() % 500;
        Entry e;
        Place place;
        if (!find(c.store, keyOf(n), e, place))
          continue;
        ++found;
        const Entry want = entryOf(n);
        wrong += std::memcmp(&e, &want, sizeof e) != 0;
        offerRefresh(place);
      }
    });
  std::vector<std::thread> writers;
  for (int t = 0; t < 2; ++t)
    writers.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<uint64_t>(100 + t));
      // On a busy machine the readers may come late.
      for (int i = 0; i < 60000 || (!found && i < 50000000); ++i) {
        insert(c.store, entryOf(1 + random() % 500), 100,
               __atomic_load_n(&c.store.flushes, __ATOMIC_ACQUIRE), 0);
        if (i % 10000 == 0)
          flush(c.store, [](const Entry &e, const void *) { return e.serial % 3 == 0; }, nullptr);
        if (i % 100 == 0)
          expire(c.store, 0, 0, 10);
      }
    });
  for (std::thread &w : writers)
    w.join();
  stop = true;
  for (std::thread &t : threads)
    t.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(found, 0u);
}

/// Against a plain map: whatever is found is what was put in last.
TEST(Store, AgreesWithAMap) {
  Cache c(100 * 1000);
  std::mt19937_64 random(3);
  std::map<uint64_t, uint64_t> latest;
  uint64_t hits = 0;
  for (int i = 0; i < 200000; ++i) {
    const uint64_t n = 1 + random() % 2000;
    Entry e;
    Place place;
    if (find(c.store, keyOf(n), e, place)) {
      ++hits;
      ASSERT_TRUE(latest.count(n));
      ASSERT_EQ(e.expires, latest[n]);
    }
    if (random() % 3 == 0) {
      const uint64_t expires = 1 + random() % 1000;
      if (insert(c.store, entryOf(n, expires), 100, 0, 500))
        latest[n] = expires;
    }
  }
  EXPECT_GT(hits, 10000u);
}

} // namespace
