// The embedding cache: what is there is not computed again, and damage costs time, never answers.
#include "lib/encoder/cache.h"
#include "lib/support/files.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace semdns {
namespace {

using encoder::EmbeddingCache;
using Ids = EmbeddingCache::Ids;
using testing::HasSubstr;

constexpr uint32_t kWidth = 16;

class Cache : public testing::Test {
protected:
  Cache() {
    std::string name = (std::filesystem::temp_directory_path() / "semdns-cache-XXXXXX").string();
    if (!mkdtemp(name.data()))
      abort();
    folder = name;
  }
  ~Cache() override {
    std::error_code failure;
    std::filesystem::remove_all(folder, failure);
  }

  static std::vector<float> rowOf(const Ids &ids) {
    std::vector<float> row(kWidth);
    for (size_t i = 0; i < ids.size(); ++i)
      row[i % kWidth] += static_cast<float>(ids[i]) / static_cast<float>(i + 1);
    return row;
  }
  /// Embeds through the cache, checks every row, and returns how many were computed.
  size_t embed(EmbeddingCache &cache, const std::vector<Ids> &sequences) {
    size_t computed = 0;
    std::vector<float> rows = cache.embed(sequences, [&](std::span<const Ids> missing) {
      computed = missing.size();
      std::vector<float> out;
      for (const Ids &ids : missing) {
        const std::vector<float> row = rowOf(ids);
        out.insert(out.end(), row.begin(), row.end());
      }
      return out;
    });
    for (size_t i = 0; i < sequences.size(); ++i)
      EXPECT_EQ(std::vector<float>(rows.begin() + static_cast<ptrdiff_t>(i * kWidth),
                                   rows.begin() + static_cast<ptrdiff_t>((i + 1) * kWidth)),
                rowOf(sequences[i]));
    return computed;
  }
  size_t embedAnew(const std::vector<Ids> &sequences, const std::string &digest = "model") {
    EmbeddingCache cache(folder, digest, kWidth, diags);
    return embed(cache, sequences);
  }
  std::string file() { return EmbeddingCache(folder, "model", kWidth, diags).path(); }
  static std::vector<Ids> sequences(uint32_t count, uint32_t first = 0) {
    std::vector<Ids> result;
    for (uint32_t i = 0; i < count; ++i)
      result.push_back({2, first + i, 7, 3});
    return result;
  }

  std::string folder;
  Diagnostics diags;
};

TEST_F(Cache, TenNewExamplesCostTenEmbeddings) {
  EXPECT_EQ(embedAnew(sequences(100)), 100u);
  EXPECT_EQ(embedAnew(sequences(100)), 0u);
  EXPECT_EQ(embedAnew(sequences(110)), 10u);
  EmbeddingCache cache(folder, "model", kWidth, diags);
  EXPECT_EQ(embed(cache, sequences(120)), 10u);
  EXPECT_EQ(cache.hits(), 110u);
  EXPECT_EQ(cache.misses(), 10u);
  EXPECT_EQ(embed(cache, sequences(120)), 0u);
  EXPECT_TRUE(diags.all().empty());
}

TEST_F(Cache, RepeatedSequencesAreEmbeddedOnce) {
  EXPECT_EQ(embedAnew({{1, 2}, {3}, {1, 2}, {3}, {}, {1, 2}, {}}), 3u);
  EXPECT_EQ(embedAnew({}), 0u);
}

TEST_F(Cache, ModelsDoNotMix) {
  EXPECT_EQ(embedAnew(sequences(5)), 5u);
  EXPECT_EQ(embedAnew(sequences(5), "other model"), 5u);
  EXPECT_EQ(embedAnew(sequences(5)), 0u);
}

TEST_F(Cache, CutOffFilesKeepWhatIsWhole) {
  embedAnew(sequences(20));
  const std::string path = file();
  const auto whole = std::filesystem::file_size(path);
  std::filesystem::resize_file(path, whole - 10);
  EXPECT_EQ(embedAnew(sequences(20)), 1u);
  EXPECT_EQ(std::filesystem::file_size(path), whole); // the torn row is gone
  EXPECT_EQ(embedAnew(sequences(20)), 0u);
  for (uintmax_t size : {whole / 2, uintmax_t{64}, uintmax_t{63}, uintmax_t{1}, uintmax_t{0}}) {
    std::filesystem::resize_file(path, size);
    EXPECT_GE(embedAnew(sequences(20)), 9u);
    EXPECT_EQ(embedAnew(sequences(20)), 0u) << size;
  }
}

TEST_F(Cache, DamageIsComputedAgain) {
  embedAnew(sequences(20));
  const std::string path = file();
  std::string error;
  const std::string good = *readFile(path, error);
  const size_t row = (good.size() - 64) / 20;
  for (size_t at : {size_t{0}, size_t{9}, size_t{20}, size_t{64}, 64 + row + 40, good.size() - 1}) {
    std::string bad = good;
    bad[at] ^= 1;
    ASSERT_TRUE(writeFileAtomically(path, bad, true, error));
    Diagnostics mine;
    EmbeddingCache cache(folder, "model", kWidth, mine);
    EXPECT_EQ(embed(cache, sequences(20)), at < 64 ? 20u : 1u) << at;
    ASSERT_EQ(mine.all().size(), 1u);
    EXPECT_THAT(mine.all()[0].message, HasSubstr("damaged"));
    EXPECT_EQ(embedAnew(sequences(20)), 0u);
  }
}

TEST_F(Cache, AFileThatChangesUnderfootIsNotTrusted) {
  embedAnew(sequences(20));
  EmbeddingCache cache(folder, "model", kWidth, diags);
  std::string error;
  ASSERT_TRUE(writeFileAtomically(cache.path(), std::string(5000, 'x'), true, error));
  EXPECT_EQ(embed(cache, sequences(20)), 20u);
  EXPECT_EQ(embed(cache, sequences(20)), 0u);
}

TEST_F(Cache, ProcessesMayWriteAtOnce) {
  std::vector<pid_t> children;
  for (uint32_t c = 0; c < 4; ++c) {
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (uint32_t round = 0; round < 20; ++round) {
        EmbeddingCache cache(folder, "model", kWidth, diags);
        embed(cache, sequences(30, c * 1000 + round * 10));
      }
      _exit(HasFailure() ? 1 : 0);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  for (uint32_t c = 0; c < 4; ++c)
    EXPECT_EQ(embedAnew(sequences(220, c * 1000)), 0u);
  EXPECT_TRUE(diags.all().empty());
}

TEST_F(Cache, UnwritableFoldersAreAWarning) {
  const std::string blocked = folder + "/file";
  std::ofstream(blocked) << "not a folder";
  Diagnostics mine;
  EmbeddingCache cache(blocked + "/sub", "model", kWidth, mine);
  EXPECT_EQ(embed(cache, sequences(3)), 3u);
  EXPECT_EQ(embed(cache, sequences(3)), 3u);
  EXPECT_EQ(cache.path(), "");
  ASSERT_EQ(mine.all().size(), 1u);
  EXPECT_EQ(mine.all()[0].severity, Severity::Warning);
  EXPECT_THAT(mine.all()[0].message, HasSubstr("embeddings are not kept"));
  EXPECT_THAT(mine.all()[0].help, HasSubstr("--cache=DIR"));

  // A folder in the file's place: it cannot even be read.
  std::filesystem::create_directories(file());
  Diagnostics more;
  EmbeddingCache other(folder, "model", kWidth, more);
  EXPECT_EQ(embed(other, sequences(3)), 3u);
  EXPECT_EQ(more.all().size(), 1u);

  Diagnostics none;
  EmbeddingCache off("", "model", kWidth, none);
  EXPECT_EQ(embed(off, sequences(3)), 3u);
  EXPECT_TRUE(none.all().empty());
}

TEST_F(Cache, DefaultFolder) {
  const std::string home = std::getenv("HOME") ? std::getenv("HOME") : "";
  setenv("XDG_CACHE_HOME", "/tmp/xdg", 1);
  EXPECT_EQ(encoder::defaultCacheFolder(), "/tmp/xdg/semdns");
  unsetenv("XDG_CACHE_HOME");
  setenv("HOME", "/home/x", 1);
  EXPECT_EQ(encoder::defaultCacheFolder(), "/home/x/.cache/semdns");
  unsetenv("HOME");
  EXPECT_EQ(encoder::defaultCacheFolder(), "");
  if (!home.empty())
    setenv("HOME", home.c_str(), 1);
}

} // namespace
} // namespace semdns
