#pragma once

#include "lib/support/diagnostics.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

namespace semdns {

/// "line:column: message | help" of each diagnostic, one a line.
inline std::string shown(const Diagnostics &diags) {
  std::string out;
  for (const Diagnostic &each : diags.all()) {
    out += std::to_string(each.where.line) + ":" + std::to_string(each.where.column) + ": " +
           (each.severity == Severity::Error     ? "error: "
            : each.severity == Severity::Warning ? "warning: "
                                                 : "note: ") +
           each.message;
    if (!each.help.empty())
      out += " | " + each.help;
    out += "\n";
  }
  return out;
}

/// A folder of its own for each test, removed at the end.
class InFolder : public testing::Test {
protected:
  void SetUp() override {
    const auto *info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = testing::TempDir() + "semdns-" + info->name() + "-" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string &name, const std::string &bytes) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  std::string folder_;
};

} // namespace semdns
