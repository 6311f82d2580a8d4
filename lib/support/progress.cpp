#include "lib/support/progress.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace semdns {

namespace {

std::string amount(double value, const std::string &unit) {
  char text[48];
  if (unit != "B")
    snprintf(text, sizeof text, "%.0f %s", value, unit.c_str());
  else if (value >= 1e9)
    snprintf(text, sizeof text, "%.1f GB", value / 1e9);
  else if (value >= 1e6)
    snprintf(text, sizeof text, "%.1f MB", value / 1e6);
  else
    snprintf(text, sizeof text, "%.0f kB", value / 1e3);
  return text;
}

} // namespace

Progress::Progress(std::string title, uint64_t total, std::string unit)
    : title_(std::move(title)), unit_(std::move(unit)), total_(total),
      start_(std::chrono::steady_clock::now()), lastDraw_(start_) {
  const char *term = getenv("TERM");
  enabled_ = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
}

Progress::~Progress() { finish(); }

void Progress::update(uint64_t done) {
  if (!enabled_)
    return;
  auto now = std::chrono::steady_clock::now();
  if (now - lastDraw_ < std::chrono::milliseconds(100))
    return;
  lastDraw_ = now;
  drawn_ = true;
  double seconds = std::chrono::duration<double>(now - start_).count();
  double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  char eta[32] = "";
  if (total_ && rate > 0)
    snprintf(eta, sizeof eta, "  ETA %.0f s",
             static_cast<double>(total_ > done ? total_ - done : 0) / rate);
  char percent[16] = "";
  if (total_)
    snprintf(percent, sizeof percent, "%3.0f %%  ",
             100.0 * static_cast<double>(done) / static_cast<double>(total_));
  fprintf(stderr, "\r\033[K%s  %s%s  %s/s%s", title_.c_str(), percent,
          amount(static_cast<double>(done), unit_).c_str(), amount(rate, unit_).c_str(), eta);
  fflush(stderr);
}

void Progress::finish() {
  if (drawn_)
    fprintf(stderr, "\r\033[K");
  drawn_ = false;
}

} // namespace semdns
