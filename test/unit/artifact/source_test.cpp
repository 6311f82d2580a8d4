// Where bytes come from: path, descriptor, memory; copied and sealed, or mapped.
#include "lib/support/files.h"
#include "runtime/artifact/source.h"
#include "semdns/format/artifact.h"

#include <cstdlib>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

using namespace semdns;
using artifact::Source;

namespace {

class SourceTest : public testing::Test {
protected:
  void SetUp() override {
    path_ = testing::TempDir() + "semdns_source_" + std::to_string(getpid());
    bytes_ = std::string(10000, 'a') + "end";
    std::string error;
    ASSERT_TRUE(writeFileAtomically(path_, bytes_, true, error)) << error;
  }
  void TearDown() override { unlink(path_.c_str()); }
  void expectBytes(const Source &source) {
    ASSERT_EQ(std::string(reinterpret_cast<const char *>(source.data()), source.size()), bytes_);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(source.data()) % 64, 0u);
  }
  std::string path_, bytes_;
};

TEST_F(SourceTest, CopyIsSealedAndIndependent) {
  Source source;
  base::Error error;
  ASSERT_TRUE(source.openPath(path_.c_str(), Source::Mode::Copy, error)) << error.message;
  EXPECT_STREQ(source.how(), "sealed memfd");
  ASSERT_EQ(truncate(path_.c_str(), 0), 0); // a map would fault now
  expectBytes(source);
}

TEST_F(SourceTest, MapFdMemory) {
  Source source;
  base::Error error;
  ASSERT_TRUE(source.openPath(path_.c_str(), Source::Mode::Map, error)) << error.message;
  EXPECT_STREQ(source.how(), "file mapping");
  expectBytes(source);
  int fd = open(path_.c_str(), O_RDONLY);
  lseek(fd, 77, SEEK_SET); // its position does not matter
  ASSERT_TRUE(source.openFd(fd, Source::Mode::Copy, error)) << error.message;
  expectBytes(source);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 77);
  close(fd);
  expectBytes(source);
  ASSERT_TRUE(source.openMemory(bytes_.data(), bytes_.size(), Source::Mode::Copy, error));
  expectBytes(source);
  alignas(64) static char memory[128];
  ASSERT_TRUE(source.openMemory(memory, 128, Source::Mode::Map, error));
  EXPECT_EQ(source.data(), reinterpret_cast<uint8_t *>(memory));
  EXPECT_FALSE(source.openMemory(memory + 8, 64, Source::Mode::Map, error));
  EXPECT_EQ(error.code, SEMDNS_ERROR_ARGUMENT);
  EXPECT_EQ(source.data(), nullptr);
}

TEST_F(SourceTest, Failures) {
  Source source;
  base::Error error;
  EXPECT_FALSE(source.openPath("/nonexistent/x.sdna", Source::Mode::Copy, error));
  EXPECT_EQ(error.code, SEMDNS_ERROR_IO);
  EXPECT_STREQ(error.message, "cannot open '/nonexistent/x.sdna': No such file or directory");
  EXPECT_FALSE(source.openPath("/tmp", Source::Mode::Copy, error));
  EXPECT_STREQ(error.message, "is a folder, not a regular file");
  EXPECT_FALSE(source.openMemory(nullptr, 5, Source::Mode::Copy, error));
  ASSERT_EQ(truncate(path_.c_str(), 0), 0);
  EXPECT_FALSE(source.openPath(path_.c_str(), Source::Mode::Copy, error));
  EXPECT_EQ(error.code, SEMDNS_ERROR_TRUNCATED);
  // A FIFO does not hang.
  unlink(path_.c_str());
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(source.openPath(path_.c_str(), Source::Mode::Copy, error));
  EXPECT_EQ(error.code, SEMDNS_ERROR_IO);
}

// With memfd_create forbidden by seccomp the bytes are still private, and the reason is told.
TEST_F(SourceTest, MemfdDenied) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program = {static_cast<unsigned short>(std::size(filter)), filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
      _exit(77);
    Source source;
    base::Error error;
    const bool ok = source.openPath(path_.c_str(), Source::Mode::Copy, error);
    const bool same = ok && source.size() == bytes_.size() &&
                      memcmp(source.data(), bytes_.data(), bytes_.size()) == 0;
    const bool told =
        strcmp(source.how(),
               "private memory (memfd denied: memfd_create: Operation not permitted)") == 0;
    _exit(same && told ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
    GTEST_SKIP() << "seccomp filters are not available here";
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

} // namespace
