/// Where the system denies executable memory or memfd, the portable kernel answers the same and the
/// artifact says why. Each case runs in a child, because a seccomp filter cannot be taken off.
#include "semdns/semdns.hpp"
#include "test/unit/runtime/make_artifact.h"
#include "test/unit/runtime/test_kernel.h"

#include <cerrno>
#include <cstddef>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace semdns;

namespace {

enum Deny : uint32_t { kNothing = 0, kExec = 1, kMemfd = 2 };

bool install(uint32_t deny) {
  constexpr uint32_t kRefuse = SECCOMP_RET_ERRNO | EPERM;
  std::vector<sock_filter> code = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  if (deny & kMemfd) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, kRefuse));
  }
  if (deny & kExec) {
    // mmap's and mprotect's third argument is the protection.
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 1, 0));
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3));
    code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])));
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, kRefuse));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

struct Outcome {
  std::string isa, isaReason, sourceReason, answers;
};

/// Opens the artifact under the filter, in a child; what it answered.
Outcome openUnder(uint32_t deny, const std::string &bytes, const std::vector<std::string> &texts,
                  const char *isa = nullptr) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    std::string out;
    Error error;
    OpenOptions options;
    options.isa = isa;
    if (deny && !install(deny)) {
      out = std::string("cannot install a filter: ") + strerror(errno) + "\n\n\n";
    } else if (const Artifact artifact =
                   Artifact::openMemory(bytes.data(), bytes.size(), options, error)) {
      const semdns_artifact_info info = artifact.info();
      out = std::string(info.isa) + "\n" + info.isa_reason + "\n" + info.source_reason + "\n";
      Resolver resolver(artifact);
      Scratch scratch(resolver);
      for (const std::string &text : texts) {
        const Answer a = resolver.resolve(scratch, text, 8);
        out += std::to_string(a->status) + " " + std::to_string(a->stage) + " " +
               std::to_string(a->margin);
        for (uint32_t i = 0; i < a->zone_count; ++i)
          out += " " + std::to_string(a->zones[i].index) + ":" +
                 std::to_string(a->zones[i].confidence);
        out += ";";
      }
    } else {
      out = std::string("refused\n") + error.message() + "\n\n";
    }
    for (size_t done = 0; done < out.size();) {
      const ssize_t n = write(ends[1], out.data() + done, out.size() - done);
      if (n <= 0)
        _exit(1);
      done += static_cast<size_t>(n);
    }
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  Outcome outcome;
  std::string *fields[] = {&outcome.isa, &outcome.isaReason, &outcome.sourceReason};
  for (std::string *field : fields) {
    const size_t end = text.find('\n');
    *field = text.substr(0, end);
    text.erase(0, end == std::string::npos ? end : end + 1);
  }
  outcome.answers = text;
  return outcome;
}

class Seccomp : public testing::Test {
protected:
  void SetUp() override {
    std::mt19937_64 random(1);
    for (int i = 0; i < 50; ++i)
      texts.push_back(test::randomText(random, model, 1 + random() % 20));
    texts.push_back(test::hostileText(random, 3000));
    free_ = openUnder(kNothing, bytes, texts);
    const Outcome denied = openUnder(kExec | kMemfd, bytes, texts);
    if (denied.isa.rfind("cannot install", 0) == 0)
      GTEST_SKIP() << denied.isa;
  }
  test::TestModel model = test::makeModel({});
  std::string bytes = test::packArtifact(model, {test::testKernel(model)});
  std::vector<std::string> texts;
  Outcome free_;
};

TEST_F(Seccomp, NativeCodeRunsWhereItMay) {
  EXPECT_EQ(free_.isa, "x86-64-v2");
  EXPECT_EQ(free_.isaReason, "best");
  EXPECT_EQ(free_.sourceReason, "sealed memfd");
  EXPECT_FALSE(free_.answers.empty());
  EXPECT_EQ(openUnder(kNothing, bytes, texts, "portable").answers, free_.answers);
}

TEST_F(Seccomp, ExecDeniedFallsBackToPortable) {
  const Outcome denied = openUnder(kExec, bytes, texts);
  EXPECT_EQ(denied.isa, "portable");
  EXPECT_EQ(denied.isaReason, "PROT_EXEC denied");
  EXPECT_EQ(denied.sourceReason, "sealed memfd");
  EXPECT_EQ(denied.answers, free_.answers);
}

TEST_F(Seccomp, MemfdDeniedIsReported) {
  const Outcome denied = openUnder(kMemfd, bytes, texts);
  EXPECT_EQ(denied.isa, "x86-64-v2");
  EXPECT_THAT(denied.sourceReason, testing::HasSubstr("memfd denied"));
  EXPECT_EQ(denied.answers, free_.answers);
}

TEST_F(Seccomp, BothDenied) {
  const Outcome denied = openUnder(kExec | kMemfd, bytes, texts);
  EXPECT_EQ(denied.isa, "portable");
  EXPECT_EQ(denied.isaReason, "PROT_EXEC denied");
  EXPECT_THAT(denied.sourceReason, testing::HasSubstr("memfd denied"));
  EXPECT_EQ(denied.answers, free_.answers);
}

TEST_F(Seccomp, AForcedLevelIsNotSilentlyReplaced) {
  const Outcome denied = openUnder(kExec, bytes, texts, "x86-64-v2");
  EXPECT_EQ(denied.isa, "refused");
  EXPECT_THAT(denied.isaReason, testing::HasSubstr("PROT_EXEC denied"));
}

} // namespace
