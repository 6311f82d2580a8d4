#include "semdns/semdns.hpp"
#include "test/unit/runtime/make_artifact.h"

#include <atomic>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

using namespace semdns;
using semdns::test::ModelOptions;

namespace {

Artifact openBytes(const std::string &bytes, uint32_t flags = SEMDNS_OPEN_COPY,
                   const char *isa = nullptr) {
  OpenOptions options;
  options.flags = flags;
  options.isa = isa;
  Error error;
  Artifact artifact = Artifact::openMemory(bytes.data(), bytes.size(), options, error);
  EXPECT_TRUE(artifact) << error.message();
  return artifact;
}

std::string describe(const semdns_answer &a) {
  std::string out = std::to_string(a.status) + "/" + std::to_string(a.reason) + " stage " +
                    std::to_string(a.stage) + " " + a.zone.name + " " +
                    std::to_string(a.zone.confidence) + " best " + a.best.name + " " +
                    std::to_string(a.best.confidence) + " margin " + std::to_string(a.margin) +
                    " ttl " + std::to_string(a.ttl);
  for (uint32_t i = 0; i < a.zone_count; ++i)
    out += std::string(" ") + a.zones[i].path + "=" + std::to_string(a.zones[i].confidence);
  for (uint32_t i = 0; i < a.chain_count; ++i)
    out += std::string(" <") + a.chain[i].name;
  for (uint32_t i = 0; i < a.engine_count; ++i)
    out += std::string(" @") + a.engines[i].name;
  return out;
}

struct Fixture {
  test::TestModel model;
  std::string bytes;
  Artifact artifact;
  Resolver resolver;
  Scratch scratch;

  explicit Fixture(const ModelOptions &options = {})
      : model(test::makeModel(options)), bytes(test::packArtifact(model)),
        artifact(openBytes(bytes)), resolver(artifact), scratch(resolver) {}

  Answer ask(std::string_view text, uint32_t topK = 1, uint32_t stages = 0) {
    semdns_query query = Resolver::query(text);
    query.top_k = topK;
    query.stages = stages;
    Answer answer;
    EXPECT_EQ(resolver.resolve(scratch, query, answer), SEMDNS_OK);
    return answer;
  }
};

TEST(Artifact, InfoZonesAndMeta) {
  Fixture f;
  const semdns_artifact_info info = f.artifact.info();
  EXPECT_EQ(info.zone_count, f.model.tree.zones.size());
  EXPECT_EQ(info.class_count, f.model.model.classZone.size());
  EXPECT_EQ(info.serial, 7u);
  EXPECT_EQ(info.file_size, f.bytes.size());
  EXPECT_STREQ(info.name, "random");
  EXPECT_STREQ(info.isa, "portable");
  EXPECT_STREQ(info.isa_reason, "no compiled kernel in the artifact");
  EXPECT_EQ(std::string(info.digest_hex).size(), 64u);
  EXPECT_STREQ(f.artifact.meta("tool.version"), "test");
  EXPECT_EQ(f.artifact.meta("absent"), nullptr);
  EXPECT_EQ(f.artifact.meta(""), nullptr);
  for (uint32_t z = 0; z < info.zone_count; ++z) {
    EXPECT_EQ(f.artifact.zone(z).name, f.model.tree.zones[z].name);
    EXPECT_EQ(f.artifact.zone(z).path, f.model.tree.zones[z].path);
    EXPECT_EQ(f.artifact.findZone(f.artifact.zone(z).name), z);
    EXPECT_EQ(f.artifact.findZone(f.artifact.zone(z).path), z);
    EXPECT_EQ(f.artifact.zoneParent(z), f.model.tree.zones[z].parent);
  }
  EXPECT_EQ(f.artifact.findZone("nowhere."), UINT32_MAX);
  EXPECT_EQ(f.artifact.zoneParent(info.zone_count), UINT32_MAX);
  semdns_zone_ref zone;
  EXPECT_EQ(semdns_artifact_zone(f.artifact.raw(), info.zone_count, &zone), SEMDNS_ERROR_ARGUMENT);
  const char *isas[4];
  EXPECT_EQ(semdns_artifact_isas(f.artifact.raw(), isas, 4), 1u);
  EXPECT_STREQ(isas[0], "portable");
}

TEST(Artifact, OpensFromPathFdAndMemoryCopiedAndMapped) {
  const std::string bytes = test::packArtifact(test::makeModel({}));
  const std::string path = testing::TempDir() + "semdns_open_" + std::to_string(getpid());
  FILE *file = std::fopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(std::fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
  std::fclose(file);
  void *aligned = std::aligned_alloc(64, (bytes.size() + 63) / 64 * 64);
  std::memcpy(aligned, bytes.data(), bytes.size());
  for (const uint32_t flags : {SEMDNS_OPEN_COPY, SEMDNS_OPEN_MAP,
                               SEMDNS_OPEN_MAP | SEMDNS_OPEN_VERIFY, SEMDNS_OPEN_DATA_ONLY}) {
    semdns_open_options options{};
    options.size = sizeof options;
    options.flags = flags;
    Error error;
    semdns_artifact *a = nullptr;
    EXPECT_EQ(semdns_artifact_open_path(path.c_str(), &options, &a, error.raw()), SEMDNS_OK)
        << error.message();
    semdns_artifact_release(a);
    const int fd = open(path.c_str(), O_RDONLY);
    EXPECT_EQ(semdns_artifact_open_fd(fd, &options, &a, error.raw()), SEMDNS_OK) << error.message();
    close(fd);
    Resolver resolver;
    {
      semdns_artifact_info info{};
      info.size = sizeof info;
      EXPECT_EQ(semdns_artifact_get_info(a, &info), SEMDNS_OK);
      EXPECT_STRNE(info.source_reason, "");
    }
    semdns_artifact_release(a);
    EXPECT_EQ(semdns_artifact_open_memory(aligned, bytes.size(), &options, &a, error.raw()),
              SEMDNS_OK)
        << error.message();
    semdns_artifact_release(a);
  }
  std::free(aligned);
  unlink(path.c_str());
}

TEST(Artifact, ReportsWhatIsWrong) {
  Error error;
  EXPECT_FALSE(Artifact::open("/no/such/file.sdna", {}, error));
  EXPECT_EQ(error.status(), SEMDNS_ERROR_IO);
  EXPECT_THAT(error.message(), testing::HasSubstr("/no/such/file.sdna"));
  EXPECT_FALSE(Artifact::openMemory("hello", 5, {}, error));
  EXPECT_NE(error.status(), SEMDNS_OK);
  std::string bytes = test::packArtifact(test::makeModel({}));
  bytes[bytes.size() / 2] ^= 1;
  EXPECT_FALSE(Artifact::openMemory(bytes.data(), bytes.size(), {}, error));
  EXPECT_EQ(error.status(), SEMDNS_ERROR_DIGEST) << error.message();
  EXPECT_STRNE(error.section(), "");
  bytes[bytes.size() / 2] ^= 1;

  OpenOptions options;
  options.isa = "x86-64-v5";
  EXPECT_FALSE(Artifact::openMemory(bytes.data(), bytes.size(), options, error));
  EXPECT_EQ(error.status(), SEMDNS_ERROR_ISA);
  options.isa = "x86-64-v2";
  EXPECT_FALSE(Artifact::openMemory(bytes.data(), bytes.size(), options, error));
  EXPECT_EQ(error.status(), SEMDNS_ERROR_ISA);
  EXPECT_THAT(error.message(), testing::HasSubstr("the artifact has portable"));
  options.isa = nullptr;
  setenv("SEMDNS_ISA", "sparc", 1);
  EXPECT_FALSE(Artifact::openMemory(bytes.data(), bytes.size(), options, error));
  EXPECT_EQ(error.status(), SEMDNS_ERROR_ISA);
  EXPECT_THAT(error.message(), testing::HasSubstr("SEMDNS_ISA"));
  setenv("SEMDNS_ISA", "portable", 1);
  const Artifact forced = Artifact::openMemory(bytes.data(), bytes.size(), options, error);
  unsetenv("SEMDNS_ISA");
  ASSERT_TRUE(forced);
  EXPECT_STREQ(forced.info().isa_reason, "forced");

  options.verify = [](void *user, const uint8_t digest[32]) {
    *static_cast<uint8_t *>(user) = digest[0];
    return 1;
  };
  uint8_t first = 0;
  options.verifyUser = &first;
  EXPECT_FALSE(Artifact::openMemory(bytes.data(), bytes.size(), options, error));
  EXPECT_EQ(error.status(), SEMDNS_ERROR_CODE);
  EXPECT_EQ(first, forced.info().digest[0]);

  semdns_artifact *out = reinterpret_cast<semdns_artifact *>(&first);
  EXPECT_EQ(semdns_artifact_open_path(nullptr, nullptr, &out, nullptr), SEMDNS_ERROR_ARGUMENT);
  EXPECT_EQ(out, nullptr);
}

TEST(Resolve, AnswersAreConsistent) {
  for (const ModelOptions &options :
       {ModelOptions{}, ModelOptions{.seed = 2, .innerClasses = true, .rootClass = true, .dim = 48},
        ModelOptions{.seed = 3, .domains = 1, .leaves = 1, .dim = 16, .layout = 1},
        ModelOptions{.seed = 4,
                     .domains = 7,
                     .leaves = 9,
                     .dim = 128,
                     .charMin = 2,
                     .charMax = 4,
                     .punct = true,
                     .layout = 4},
        ModelOptions{.seed = 5, .embedding = false, .engines = false}}) {
    Fixture f(options);
    std::mt19937_64 random(options.seed);
    uint32_t routed = 0;
    for (int i = 0; i < 300; ++i) {
      const std::string text =
          i % 10 == 9 ? test::hostileText(random, static_cast<uint32_t>(random() % 300))
                      : test::randomText(random, f.model, 1 + random() % 20);
      const Answer answer = f.ask(text, 1 + i % 8);
      const semdns_answer &a = *answer;
      routed += a.status == SEMDNS_ROUTED;
      ASSERT_LT(a.zone.index, f.model.tree.zones.size());
      EXPECT_EQ(a.zone.name, f.model.tree.zones[a.zone.index].name);
      EXPECT_EQ(a.best.path, f.model.tree.zones[a.best.index].path);
      EXPECT_NE(a.best.index, 0u);
      EXPECT_LE(a.zone.confidence, 65536u);
      EXPECT_LE(a.margin, 65536u);
      ASSERT_GE(a.zone_count, 1u);
      ASSERT_LE(a.zone_count, 1u + i % 8);
      EXPECT_EQ(a.zones[0].index, a.zone.index);
      for (uint32_t z = 1; z < a.zone_count; ++z)
        EXPECT_NE(a.zones[z].index, a.zone.index);
      EXPECT_EQ(a.chain[0].index, a.zone.index);
      EXPECT_EQ(a.chain[a.chain_count - 1].index, 0u);
      EXPECT_EQ(a.chain_count, f.model.tree.zones[a.zone.index].depth + 1);
      EXPECT_EQ(a.ttl, f.model.tree.zones[a.zone.index].ttl);
      EXPECT_EQ(a.engine_count, f.model.tree.zones[a.zone.index].engines.size());
      switch (a.status) {
      case SEMDNS_ROUTED:
        EXPECT_EQ(a.zone.index, a.best.index);
        EXPECT_NE(a.stage, SEMDNS_STAGE_NONE);
        break;
      case SEMDNS_FALLBACK:
        EXPECT_NE(a.zone.index, a.best.index);
        break;
      default:
        EXPECT_EQ(a.status, SEMDNS_NOZONE);
        EXPECT_EQ(a.zone.index, 0u);
        EXPECT_EQ(a.stage, SEMDNS_STAGE_NONE);
      }
    }
    EXPECT_GT(routed, 10u);
  }
}

TEST(Resolve, Reasons) {
  Fixture f;
  EXPECT_EQ(f.ask("").reason(), SEMDNS_REASON_EMPTY);
  EXPECT_EQ(f.ask("").status(), SEMDNS_NOZONE);
  EXPECT_EQ(f.ask({"\0\0 \n", 4}).reason(), SEMDNS_REASON_EMPTY);
  EXPECT_EQ(f.ask("qqqq xxxx").reason(), SEMDNS_REASON_NO_EVIDENCE);
  EXPECT_EQ(f.ask("\xff").reason(), SEMDNS_REASON_REPAIRED);
  EXPECT_EQ(f.ask("\xff")->repaired, 1u);
  const Answer huge = f.ask(std::string(1 << 20, 'a'));
  EXPECT_EQ(huge.reason(), SEMDNS_REASON_TRUNCATED);
  EXPECT_EQ(huge->truncated, 1u);
  EXPECT_EQ(f.ask(f.model.vocabulary[0], 1, SEMDNS_STAGE_ENCODER).reason(), SEMDNS_REASON_NO_STAGE);
  std::mt19937_64 random(9);
  bool fallback = false;
  for (int i = 0; i < 200 && !fallback; ++i) {
    const Answer a = f.ask(test::randomText(random, f.model, 3));
    fallback = a.status() == SEMDNS_FALLBACK;
    if (fallback)
      EXPECT_EQ(a.reason(), SEMDNS_REASON_LOW_CONFIDENCE);
  }
  EXPECT_TRUE(fallback);
}

TEST(Resolve, Deadline) {
  Fixture f;
  semdns_query query = Resolver::query(f.model.vocabulary[0]);
  Answer answer;
  query.now = 100;
  query.deadline = 100;
  ASSERT_EQ(f.resolver.resolve(f.scratch, query, answer), SEMDNS_OK);
  EXPECT_NE(answer.status(), SEMDNS_TIMEOUT);
  query.now = 101;
  ASSERT_EQ(f.resolver.resolve(f.scratch, query, answer), SEMDNS_OK);
  EXPECT_EQ(answer.status(), SEMDNS_TIMEOUT);
  EXPECT_EQ(answer.reason(), SEMDNS_REASON_DEADLINE);
  EXPECT_EQ(answer->retryable, 1u);
  EXPECT_EQ(answer->zone.index, 0u);
  EXPECT_EQ(answer->ttl, 0u);
}

TEST(Resolve, RefusesWrongArguments) {
  Fixture f;
  semdns_query query = Resolver::query("x");
  Answer answer;
  EXPECT_EQ(semdns_resolve(nullptr, f.scratch.raw(), &query, answer.raw()), SEMDNS_ERROR_ARGUMENT);
  EXPECT_EQ(semdns_resolve(f.resolver.raw(), nullptr, &query, answer.raw()), SEMDNS_ERROR_ARGUMENT);
  Resolver other(f.artifact);
  EXPECT_EQ(semdns_resolve(other.raw(), f.scratch.raw(), &query, answer.raw()),
            SEMDNS_ERROR_ARGUMENT);
  query.size = 8;
  EXPECT_EQ(f.resolver.resolve(f.scratch, query, answer), SEMDNS_ERROR_ARGUMENT);
  query = Resolver::query("x");
  query.text = nullptr;
  EXPECT_EQ(f.resolver.resolve(f.scratch, query, answer), SEMDNS_ERROR_ARGUMENT);
  query.text_size = 0;
  EXPECT_EQ(f.resolver.resolve(f.scratch, query, answer), SEMDNS_OK);
  query.top_k = 9;
  EXPECT_EQ(f.resolver.resolve(f.scratch, query, answer), SEMDNS_ERROR_ARGUMENT);
  answer.raw()->size = 4;
  query.top_k = 1;
  EXPECT_EQ(f.resolver.resolve(f.scratch, query, answer), SEMDNS_ERROR_ARGUMENT);
}

TEST(Resolve, ManyIsOneByOne) {
  Fixture f;
  std::mt19937_64 random(3);
  std::vector<std::string> texts;
  for (int i = 0; i < 50; ++i)
    texts.push_back(test::randomText(random, f.model, 8));
  std::vector<semdns_query> queries;
  std::vector<semdns_answer> answers(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    queries.push_back(Resolver::query(texts[i]));
    queries.back().top_k = 3;
    answers[i].size = sizeof(semdns_answer);
  }
  ASSERT_EQ(semdns_resolve_many(f.resolver.raw(), f.scratch.raw(), queries.data(), answers.data(),
                                texts.size()),
            SEMDNS_OK);
  for (size_t i = 0; i < texts.size(); ++i)
    EXPECT_EQ(describe(answers[i]), describe(*f.ask(texts[i], 3)));
  EXPECT_EQ(semdns_resolve_many(f.resolver.raw(), f.scratch.raw(), nullptr, nullptr, 0), SEMDNS_OK);
}

TEST(Resolve, ExplainTellsTheSameStory) {
  Fixture f;
  std::mt19937_64 random(5);
  for (int i = 0; i < 100; ++i) {
    const std::string text = test::randomText(random, f.model, 1 + random() % 12);
    const semdns_query query = Resolver::query(text);
    Answer answer;
    std::vector<semdns_trace_step> steps;
    ASSERT_EQ(semdns_explain(
                  f.resolver.raw(), f.scratch.raw(), &query, answer.raw(),
                  [](void *user, const semdns_trace_step *step) {
                    static_cast<std::vector<semdns_trace_step> *>(user)->push_back(*step);
                  },
                  &steps),
              SEMDNS_OK);
    EXPECT_EQ(describe(*answer), describe(*f.ask(text)));
    ASSERT_FALSE(steps.empty());
    EXPECT_EQ(steps.back().accepted,
              answer->stage == SEMDNS_STAGE_KEYWORD ? steps.back().accepted : 1u);
    uint32_t accepted = 0;
    for (const semdns_trace_step &step : steps)
      if (step.accepted) {
        ++accepted;
        EXPECT_EQ(step.zone.index, answer->zone.index);
        if (answer->stage == SEMDNS_STAGE_EMBEDDING) {
          EXPECT_EQ(step.score, answer->zone.confidence);
          EXPECT_GE(step.score, step.threshold);
        }
      }
    EXPECT_EQ(accepted, 1u);
  }
}

TEST(Scratch, InMemoryOfTheCallers) {
  Fixture f;
  const size_t size = f.artifact.info().scratch_size;
  void *memory = std::aligned_alloc(64, (size + 63) / 64 * 64);
  Error error;
  semdns_scratch *scratch;
  EXPECT_EQ(semdns_scratch_init(f.resolver.raw(), memory, size - 1, &scratch, error.raw()),
            SEMDNS_ERROR_SCRATCH);
  EXPECT_EQ(semdns_scratch_init(f.resolver.raw(), static_cast<char *>(memory) + 8, size, &scratch,
                                error.raw()),
            SEMDNS_ERROR_ARGUMENT);
  ASSERT_EQ(semdns_scratch_init(f.resolver.raw(), memory, size, &scratch, error.raw()), SEMDNS_OK);
  const semdns_query query = Resolver::query(f.model.vocabulary[0]);
  Answer answer;
  EXPECT_EQ(semdns_resolve(f.resolver.raw(), scratch, &query, answer.raw()), SEMDNS_OK);

  // A larger artifact does not fit; the scratch still serves when a small one comes back.
  const Artifact larger =
      openBytes(test::packArtifact(test::makeModel({.domains = 40, .leaves = 9, .dim = 256})));
  ASSERT_EQ(f.resolver.swap(larger, error, SEMDNS_SWAP_BACK), SEMDNS_OK);
  EXPECT_EQ(semdns_resolve(f.resolver.raw(), scratch, &query, answer.raw()), SEMDNS_ERROR_SCRATCH);
  ASSERT_EQ(f.resolver.swap(f.artifact, error, SEMDNS_SWAP_BACK), SEMDNS_OK);
  EXPECT_EQ(semdns_resolve(f.resolver.raw(), scratch, &query, answer.raw()), SEMDNS_OK);
  semdns_scratch_destroy(scratch);
  std::free(memory);
}

TEST(Resolver, GoesBackOnlyWhenTold) {
  const test::TestModel model = test::makeModel({}), other = test::makeModel({.seed = 2});
  constexpr uint64_t kHalf = uint64_t(1) << 63;
  const auto swaps = [&](uint64_t from, uint64_t to, bool sameBytes = false) {
    const Artifact a = openBytes(test::packArtifact(model, {}, from)),
                   b = openBytes(test::packArtifact(sameBytes ? model : other, {}, to));
    Resolver resolver(a);
    Error error;
    const semdns_status status = resolver.swap(b, error);
    EXPECT_EQ(status != SEMDNS_OK, std::strstr(error.message(), "is not newer") != nullptr);
    Scratch scratch(resolver);
    EXPECT_EQ(resolver.resolve(scratch, "x")->serial, status == SEMDNS_OK ? to : from);
    EXPECT_EQ(resolver.swap(b, error, SEMDNS_SWAP_BACK), SEMDNS_OK);
    EXPECT_EQ(resolver.resolve(scratch, "x")->serial, to);
    return status;
  };
  EXPECT_EQ(swaps(1, 2), SEMDNS_OK);
  EXPECT_EQ(swaps(2, 1), SEMDNS_ERROR_SERIAL);
  EXPECT_EQ(swaps(7, 7), SEMDNS_ERROR_SERIAL);
  EXPECT_EQ(swaps(7, 7, true), SEMDNS_OK); // the same artifact
  EXPECT_EQ(swaps(UINT64_MAX, 0), SEMDNS_OK);
  EXPECT_EQ(swaps(0, UINT64_MAX), SEMDNS_ERROR_SERIAL);
  EXPECT_EQ(swaps(5, 5 + kHalf - 1), SEMDNS_OK);
  EXPECT_EQ(swaps(5, 5 + kHalf), SEMDNS_ERROR_SERIAL);
}

TEST(Scratch, LetsAnOldArtifactGo) {
  Fixture f;
  const Artifact next = openBytes(test::packArtifact(test::makeModel({.seed = 2}), {}, 1u << 30));
  Error error;
  Scratch scratch(f.resolver);
  EXPECT_EQ(f.resolver.resolve(scratch, "x")->serial, f.artifact.info().serial);
  ASSERT_EQ(f.resolver.swap(next, error), SEMDNS_OK);
  EXPECT_EQ(semdns_scratch_let_go(f.resolver.raw(), scratch.raw()), SEMDNS_OK);
  semdns_resolver *none = nullptr;
  EXPECT_EQ(semdns_scratch_let_go(none, scratch.raw()), SEMDNS_ERROR_ARGUMENT);
}

TEST(Resolver, SwapsUnderLoad) {
  const test::TestModel first = test::makeModel({}),
                        second = test::makeModel({.seed = 2, .domains = 9, .dim = 96});
  const Artifact artifacts[2] = {openBytes(test::packArtifact(first, {}, 1)),
                                 openBytes(test::packArtifact(second, {}, 2))};
  Resolver resolver(artifacts[0]);
  std::mt19937_64 random(1);
  std::vector<std::string> texts;
  for (int i = 0; i < 64; ++i)
    texts.push_back(test::randomText(random, i % 2 ? first : second, 6));
  std::vector<std::string> expected[2];
  for (int a = 0; a < 2; ++a) {
    Resolver own(artifacts[a]);
    Scratch scratch(own);
    for (const std::string &text : texts)
      expected[a].push_back(describe(*own.resolve(scratch, text)));
  }

  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0}, seen[2] = {};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      Scratch scratch(resolver);
      for (size_t i = static_cast<size_t>(t); !stop.load(); ++i) {
        const Answer answer = resolver.resolve(scratch, texts[i % texts.size()]);
        const uint64_t which = answer->serial - 1;
        seen[which]++;
        if (describe(*answer) != expected[which][i % texts.size()])
          wrong++;
      }
    });
  Error error;
  for (int i = 0; i < 400 || !seen[0] || !seen[1]; ++i) {
    ASSERT_EQ(resolver.swap(artifacts[i % 2], error, SEMDNS_SWAP_BACK), SEMDNS_OK);
    std::this_thread::yield();
    if (i % 16 == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  stop = true;
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(seen[0], 0u);
  EXPECT_GT(seen[1], 0u);
}

TEST(Words, EveryNumberHasOne) {
  // C++ gives an enumeration the values of as many bits as its enumerators need.
  for (int i = 0; i < 64; ++i)
    EXPECT_NE(semdns_status_text(static_cast<semdns_status>(i)), nullptr);
  for (int i = 0; i < 8; ++i) {
    EXPECT_NE(semdns_answer_status_text(static_cast<semdns_answer_status>(i)), nullptr);
    EXPECT_NE(semdns_answer_reason_text(static_cast<semdns_answer_reason>(i)), nullptr);
    EXPECT_NE(semdns_stage_text(static_cast<uint32_t>(i)), nullptr);
  }
  EXPECT_STREQ(semdns_status_text(SEMDNS_ERROR_DIGEST), "digest mismatch");
  EXPECT_EQ(semdns_isa_runnable("portable"), 1);
  EXPECT_EQ(semdns_isa_runnable("sparc"), 0);
  EXPECT_EQ(semdns_isa_runnable(nullptr), 0);
}

} // namespace
