#include "lib/support/command_line.h"

#include "lib/support/exit_codes.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace semdns {

bool isEmptyOption(const std::string &argument) {
  return argument.rfind("--", 0) == 0 && argument.find('=') == argument.size() - 1;
}

bool refuseEmptyOptions(const char *tool, int argc, const char *const *argv) {
  for (int i = 1; i < argc && std::strcmp(argv[i], "--") != 0; ++i) {
    if (!isEmptyOption(argv[i]))
      continue;
    std::fprintf(stderr, "%s: %s has no value; give one, or leave the option out\n", tool, argv[i]);
    return false;
  }
  return true;
}

std::string checkUnsigned(const std::string &text) {
  const std::string largest = "18446744073709551615";
  bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || text.size() > largest.size() || (text.size() == largest.size() && text > largest))
    return "'" + text + "' is not a number from 0 to " + largest;
  return {};
}

int endOutput(const char *tool, int code) {
  if (std::fflush(stdout) == 0 && !std::ferror(stdout))
    return code;
  std::fprintf(stderr, "%s: cannot write to standard output: %s\n", tool, std::strerror(errno));
  return code == kDone ? kRejected : code;
}

} // namespace semdns
