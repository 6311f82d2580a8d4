// Asks a GPU and the CPU the same texts and compares every field of their answers; then says how
// long the parts of a batch take. Needs no more than the files it is given: it can be carried to a
// machine that has a GPU and nothing else.
//
//     run-gpu [--fast] ARTIFACT TEXTS...    exit 0: all equal, 1: something differs, 77: no GPU
//     here
//
// TEXTS: JSON lines with "text", or the binary form of `writeTexts` in gpu_test.cpp (*.texts).
#include "lib/support/diagnostics.h"
#include "lib/support/files.h"
#include "lib/support/json_lines.h"
#include "semdns/gpu.h"
#include "semdns/semdns.hpp"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>

namespace {

using namespace semdns;

struct Texts {
  std::string bytes;
  std::vector<uint64_t> offsets{0};
  void add(std::string_view text) {
    bytes += text;
    offsets.push_back(bytes.size());
  }
  size_t count() const { return offsets.size() - 1; }
  std::string_view at(size_t i) const {
    return std::string_view(bytes).substr(offsets[i], offsets[i + 1] - offsets[i]);
  }
};

bool read(const std::string &path, Texts &texts) {
  if (path.size() > 6 && path.substr(path.size() - 6) == ".texts") {
    std::string error;
    const auto bytes = readFile(path, error);
    if (!bytes)
      return std::fprintf(stderr, "%s\n", error.c_str()), false;
    for (size_t at = 0; at + 8 <= bytes->size();) {
      uint64_t size;
      std::memcpy(&size, bytes->data() + at, 8);
      texts.add(std::string_view(*bytes).substr(at + 8, size));
      at += 8 + size;
    }
    return true;
  }
  Diagnostics diagnostics;
  for (const LabelledText &row : readJsonLines(path, false, diagnostics, BadText::Keep))
    texts.add(row.text);
  diagnostics.print(stderr);
  return !diagnostics.hasErrors();
}

semdns_gpu *open(const Artifact &artifact, int32_t device, uint32_t texts, uint32_t bytes) {
  semdns_gpu_options options = {};
  options.size = sizeof options;
  options.device = device;
  options.batch_texts = texts;
  options.batch_bytes = bytes;
  semdns_gpu *gpu = nullptr;
  semdns_error error = {};
  error.size = sizeof error;
  if (semdns_gpu_open(artifact.raw(), &options, &gpu, &error) != SEMDNS_OK)
    std::fprintf(stderr, "%s\n", error.message);
  return gpu;
}

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void speak(const semdns_bulk_answer &a) {
  std::fprintf(
      stderr, " zone %u best %u conf %u %u margin %u status %u reason %u stage %u flags %u", a.zone,
      a.best, a.confidence, a.best_confidence, a.margin, a.status, a.reason, a.stage, a.flags);
}

bool compare(const char *what, semdns_gpu *gpu, semdns_gpu *cpu, const Texts &texts) {
  std::vector<semdns_bulk_answer> a(texts.count()), b(texts.count());
  semdns_gpu_stats stats = {};
  semdns_gpu_resolve_many(gpu, texts.bytes.data(), texts.offsets.data(), texts.count(), a.data(),
                          &stats);
  semdns_gpu_resolve_many(cpu, texts.bytes.data(), texts.offsets.data(), texts.count(), b.data(),
                          nullptr);
  size_t different = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    semdns_bulk_answer x = a[i];
    x.flags &= static_cast<uint8_t>(~SEMDNS_BULK_DEVICE);
    if (!std::memcmp(&x, &b[i], sizeof x))
      continue;
    if (++different > 5)
      continue;
    std::fprintf(stderr, "%s: text %zu of %zu bytes: '%.60s'\n  GPU", what, i, texts.at(i).size(),
                 std::string(texts.at(i)).c_str());
    speak(a[i]);
    std::fprintf(stderr, "\n  CPU");
    speak(b[i]);
    std::fputc('\n', stderr);
  }
  std::printf("%s: %zu texts, %llu answered by the GPU, %zu different, %llu batches, %llu lost\n",
              what, a.size(), static_cast<unsigned long long>(stats.on_device), different,
              static_cast<unsigned long long>(stats.launches),
              static_cast<unsigned long long>(stats.lost));
  return different == 0 && stats.lost == 0;
}

/// The texts again and again, shuffled, until there are `count`.
Texts repeat(const Texts &texts, size_t count) {
  std::mt19937_64 random(1);
  Texts out;
  while (out.count() < count)
    out.add(texts.at(random() % texts.count()));
  return out;
}

void timeParts(semdns_gpu *gpu, const Texts &texts) {
  semdns_gpu_times t = {};
  t.size = sizeof t;
  if (semdns_gpu_measure(gpu, 0, texts.bytes.data(), texts.offsets.data(), texts.count(), 15, &t) !=
      SEMDNS_OK) {
    std::puts("  measuring failed");
    return;
  }
  const auto n = static_cast<double>(t.texts);
  const double up = static_cast<double>(64 << 20) / t.copy_up,
               down = static_cast<double>(64 << 20) / t.copy_down;
  std::printf(
      "  %8u texts, %.1f bytes, %.1f rows each: launch %.1f us, read %.1f M/s, answer %.1f "
      "M/s, both %.1f M/s, upload %.1f M/s, download %.1f M/s; copies %.1f up %.1f down GB/s\n",
      t.texts, static_cast<double>(t.bytes) / n, static_cast<double>(t.rows) / n, t.launch / 1e3,
      n / t.read * 1e3, n / t.answer * 1e3, n / (t.read + t.answer) * 1e3, n / t.upload * 1e3,
      n / t.download * 1e3, up, down);
}

} // namespace

int main(int argc, char **argv) {
  int at = 1;
  const bool fast = at < argc && !std::strcmp(argv[at], "--fast");
  at += fast;
  if (argc - at < 2)
    return std::fprintf(stderr, "run-gpu [--fast] ARTIFACT TEXTS...\n"), 2;
  Error error;
  const Artifact artifact = Artifact::open(argv[at], OpenOptions(), error);
  if (!artifact)
    return std::fprintf(stderr, "%s\n", error.raw()->message), 1;
  semdns_gpu *gpu = open(artifact, SEMDNS_GPU_ALL, 0, 0);
  semdns_gpu *cpu = open(artifact, SEMDNS_GPU_NONE, 0, 0);
  if (!gpu || !cpu)
    return 1;
  semdns_gpu_info info = {};
  info.size = sizeof info;
  semdns_gpu_get_info(gpu, &info);
  if (!info.device_count) {
    std::printf("no GPU here: %s\n", info.reason);
    return 77;
  }
  std::printf("%s on %s (sm_%u, %u processors), driver %u, code made in %.0f ms, %.0f MB taken\n",
              argv[at], info.devices[0].name, info.devices[0].chip, info.devices[0].processors,
              info.driver, static_cast<double>(info.devices[0].load_ns) / 1e6,
              static_cast<double>(info.devices[0].used) / 1e6);
  bool same = true;
  Texts all;
  for (int i = at + 1; i < argc; ++i) {
    Texts texts;
    same &= read(argv[i], texts) && compare(argv[i], gpu, cpu, texts);
    for (size_t t = 0; t < texts.count(); ++t)
      all.add(texts.at(t));
  }
  if (!fast && all.count()) {
    const Texts many = repeat(all, 4 << 20);
    for (const uint32_t size : {1u << 10, 1u << 14, 1u << 17, 1u << 20}) {
      semdns_gpu *sized = open(artifact, 0, size, 64u << 20);
      timeParts(sized, many);
      std::vector<semdns_bulk_answer> answers(many.count());
      double best = 1e9;
      for (int round = 0; round < 4; ++round) {
        const double begin = seconds();
        semdns_gpu_resolve_many(sized, many.bytes.data(), many.offsets.data(), many.count(),
                                answers.data(), nullptr);
        best = std::min(best, seconds() - begin);
      }
      std::printf("           from host memory, in batches of that size: %.1f M/s\n",
                  static_cast<double>(many.count()) / best / 1e6);
      semdns_gpu_close(sized);
    }
    const size_t part = std::min<size_t>(many.count(), 1 << 18);
    std::vector<semdns_bulk_answer> answers(part);
    const double begin = seconds();
    semdns_gpu_resolve_many(cpu, many.bytes.data(), many.offsets.data(), part, answers.data(),
                            nullptr);
    std::printf("           one core of this machine: %.2f M/s\n",
                static_cast<double>(part) / (seconds() - begin) / 1e6);
  }
  semdns_gpu_close(gpu);
  semdns_gpu_close(cpu);
  return same ? 0 : 1;
}
