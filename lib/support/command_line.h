/// \file What every tool's command line has in common, beyond what CLI11 does.
#pragma once

#include <string>

namespace semdns {

/// Whether an argument is `--name=` with nothing behind it.
bool isEmptyOption(const std::string &argument);

/// `--name=` with nothing behind it, which CLI11 would fill with the next argument: says so on
/// stderr and returns false. What follows "--" is not looked at.
bool refuseEmptyOptions(const char *tool, int argc, const char *const *argv);

/// For CLI11's check(): empty when `text` is a decimal number below 2^64, else what is wrong.
/// (CLI11 alone takes -1 for 2^64 - 1.)
std::string checkUnsigned(const std::string &text);

/// Ends a tool that wrote to stdout: `code`, or kRejected with a message when not everything that
/// was written arrived (full disk, closed pipe).
int endOutput(const char *tool, int code);

} // namespace semdns
