#include "runtime/gpu/device.h"

#include <initializer_list>
#include <stdio.h>
#include <string.h>
#include <time.h>

namespace semdns::gpu {
namespace {

uint64_t now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
}

} // namespace

bool Device::check(int result, const char *what) {
  if (result == kCudaSuccess)
    return true;
  if (!info.lost)
    snprintf(reason, sizeof reason, "GPU %d: %s failed: %s", info.number, what,
             driver_->nameOf(result));
  info.lost = 1;
  return false;
}

bool Device::makeCurrent() { return check(driver_->contextSet(context_), "taking its context"); }

bool Device::allocate(CudaAddress &address, uint64_t bytes, const char *what) {
  bytes = (bytes + 511) / 256 * 256; // never none, and loads may go a little beyond
  if (!check(driver_->memoryAllocate(&address, bytes), what))
    return false;
  info.used += bytes;
  return true;
}

bool Device::upload(CudaAddress &address, const uint8_t *from, uint64_t bytes, const char *what) {
  return allocate(address, bytes, what) && check(driver_->copyUp(address, from, bytes), what);
}

bool Device::load(const Program &program) {
  const uint64_t begin = now();
  if (!check(driver_->moduleLoad(&module_, program.image), "loading the artifact's GPU code"))
    return false;
  info.load_ns = now() - begin;
  if (!check(driver_->moduleFunction(&read_, module_, SEMDNS_GPU_READ), "finding a kernel") ||
      !check(driver_->moduleFunction(&answer_, module_, SEMDNS_GPU_ANSWER), "finding a kernel"))
    return false;
  int most = 0;
  if (!check(driver_->deviceAttribute(&most, kCudaSharedOptIn, device_), "asking for its memory"))
    return false;
  if (static_cast<uint32_t>(most) < header_.shared_bytes) {
    snprintf(reason, sizeof reason,
             "GPU %d: the artifact's code needs %u bytes of shared memory; it has %d", info.number,
             header_.shared_bytes, most);
    info.lost = 1;
    return false;
  }
  if (!check(driver_->functionSet(answer_, kCudaFunctionMaxDynamic,
                                  static_cast<int>(header_.shared_bytes)),
             "taking shared memory"))
    return false;
  const semdns_kernel_tables &t = program.tables;
  const char *what = "copying the artifact";
  return upload(text_, t.text, program.textSize, what) &&
         upload(keyw_, t.keyw, program.keywSize, what) &&
         upload(tokv_, t.tokv, program.tokvSize, what) &&
         upload(cent_, t.cent, program.centSize, what) &&
         upload(clsf_, t.clsf, program.clsfSize, what);
}

bool Device::makeSlot(Slot &slot, uint32_t texts, uint32_t bytes) {
  const char *what = "taking memory for batches";
  const uint64_t room = SEMDNS_GPU_ROOM(header_.room, bytes, texts);
  const uint64_t tiles = (uint64_t(texts) + header_.tile - 1) / header_.tile * header_.tile;
  void *text = nullptr, *offsets = nullptr, *answers = nullptr;
  const bool good =
      check(driver_->streamCreate(&slot.stream, kCudaStreamNonBlocking), what) &&
      check(driver_->eventCreate(&slot.done, 0), what) &&
      check(driver_->hostAllocate(&text, bytes, kCudaHostPortable), what) &&
      check(driver_->hostAllocate(&offsets, 4 * (uint64_t(texts) + 1), kCudaHostPortable), what) &&
      check(driver_->hostAllocate(&answers, sizeof(semdns_gpu_answer) * uint64_t(texts),
                                  kCudaHostPortable),
            what);
  slot.text = static_cast<char *>(text);
  slot.offsets = static_cast<uint32_t *>(offsets);
  slot.answers = static_cast<semdns_gpu_answer *>(answers);
  return good && allocate(slot.deviceText, bytes, what) &&
         allocate(slot.deviceOffsets, 4 * (uint64_t(texts) + 1), what) &&
         allocate(slot.hashes, 8 * room, what) && allocate(slot.rows, 4 * room, what) &&
         allocate(slot.deviceTexts, sizeof(semdns_gpu_text) * uint64_t(texts), what) &&
         allocate(slot.scores, 4 * tiles * header_.score_words, what) &&
         allocate(slot.deviceAnswers, sizeof(semdns_gpu_answer) * uint64_t(texts), what);
}

bool Device::open(const Driver &driver, int number, const Program &program, uint32_t texts,
                  uint32_t bytes) {
  driver_ = &driver;
  info.number = number;
  header_ = *program.header;
  const auto &tokv = *reinterpret_cast<const semdns_tokv_header *>(program.tables.tokv);
  const auto &cent = *reinterpret_cast<const semdns_cent_header *>(program.tables.cent);
  const auto &clsf = *reinterpret_cast<const semdns_clsf_header *>(program.tables.clsf);
  rowsAt_ = tokv.rows_offset;
  vectorsAt_ = cent.vectors_offset;
  exp2At_ = clsf.exp2_offset;
  thresholdsAt_ = clsf.zone_threshold_offset;
  int major = 0, minor = 0, processors = 0;
  size_t memory = 0;
  bool good =
      check(driver.deviceGet(&device_, number), "finding it") &&
      check(driver.deviceName(info.name, sizeof info.name, device_), "asking for its name") &&
      check(driver.deviceMemory(&memory, device_), "asking for its memory") &&
      check(driver.deviceAttribute(&major, kCudaMajor, device_), "asking what it is") &&
      check(driver.deviceAttribute(&minor, kCudaMinor, device_), "asking what it is") &&
      check(driver.deviceAttribute(&processors, kCudaProcessors, device_), "asking what it is");
  info.chip = static_cast<uint32_t>(10 * major + minor);
  info.memory = memory;
  info.processors = static_cast<uint32_t>(processors);
  if (good && info.chip < header_.minimum_chip) {
    snprintf(reason, sizeof reason, "GPU %d is an sm_%u; the artifact's code needs sm_%u", number,
             info.chip, header_.minimum_chip);
    info.lost = 1;
    good = false;
  }
  good = good && check(driver.contextRetain(&context_, device_), "making a context") &&
         makeCurrent() && load(program);
  for (Slot &slot : slots)
    good = good && makeSlot(slot, texts, bytes);
  if (!good)
    close();
  return good;
}

void Device::close() {
  if (!context_)
    return;
  // After a failure these may fail as well: what can go goes.
  driver_->contextSet(context_);
  for (Slot &slot : slots) {
    if (slot.stream) {
      driver_->streamSynchronise(slot.stream);
      driver_->streamDestroy(slot.stream);
    }
    if (slot.done)
      driver_->eventDestroy(slot.done);
    for (void *memory : {static_cast<void *>(slot.text), static_cast<void *>(slot.offsets),
                         static_cast<void *>(slot.answers)})
      if (memory)
        driver_->hostFree(memory);
    for (CudaAddress address : {slot.deviceText, slot.deviceOffsets, slot.hashes, slot.rows,
                                slot.deviceTexts, slot.scores, slot.deviceAnswers})
      if (address)
        driver_->memoryFree(address);
    slot = {};
  }
  for (CudaAddress address : {text_, keyw_, tokv_, cent_, clsf_})
    if (address)
      driver_->memoryFree(address);
  if (module_)
    driver_->moduleUnload(module_);
  driver_->contextSet(nullptr);
  driver_->contextRelease(device_);
  context_ = module_ = nullptr;
  text_ = keyw_ = tokv_ = cent_ = clsf_ = 0;
  info.used = 0;
}

int Device::launchRead(Slot &slot, uint32_t count, uint32_t stages) {
  void *arguments[] = {&text_,
                       &keyw_,
                       &tokv_,
                       &clsf_,
                       &slot.deviceText,
                       &slot.deviceOffsets,
                       &slot.hashes,
                       &slot.rows,
                       &slot.deviceTexts,
                       &slot.deviceAnswers,
                       &count,
                       &stages};
  const uint32_t blocks = count ? (count + header_.read_threads - 1) / header_.read_threads : 1;
  return driver_->launch(read_, blocks, 1, 1, header_.read_threads, 1, 1, 0, slot.stream, arguments,
                         nullptr);
}

int Device::launchAnswer(Slot &slot) {
  CudaAddress table = tokv_ + rowsAt_, vectors = cent_ + vectorsAt_, exp2 = clsf_ + exp2At_,
              thresholds = clsf_ + thresholdsAt_,
              rootOdds = clsf_ + offsetof(semdns_clsf_header, root_odds);
  void *arguments[] = {
      &slot.deviceTexts, &slot.rows,          &table,     &vectors, &exp2, &thresholds, &rootOdds,
      &slot.scores,      &slot.deviceAnswers, &slot.count};
  return driver_->launch(answer_, (slot.count + header_.tile - 1) / header_.tile, 1, 1,
                         header_.threads, 1, 1, header_.shared_bytes, slot.stream, arguments,
                         nullptr);
}

bool Device::submit(Slot &slot, uint32_t stages) {
  const Driver &d = *driver_;
  slot.busy =
      makeCurrent() &&
      check(d.copyUpAsync(slot.deviceText, slot.text, slot.offsets[slot.count], slot.stream),
            "copying texts") &&
      check(d.copyUpAsync(slot.deviceOffsets, slot.offsets, 4 * (size_t(slot.count) + 1),
                          slot.stream),
            "copying texts") &&
      check(launchRead(slot, slot.count, stages), "starting a kernel") &&
      check(launchAnswer(slot), "starting a kernel") &&
      check(d.copyDownAsync(slot.answers, slot.deviceAnswers,
                            sizeof(semdns_gpu_answer) * size_t(slot.count), slot.stream),
            "copying answers") &&
      check(d.eventRecord(slot.done, slot.stream), "marking a batch");
  return slot.busy;
}

bool Device::finish(Slot &slot) {
  slot.busy = false;
  return !info.lost && makeCurrent() && check(driver_->eventSynchronise(slot.done), "a batch");
}

/// Time of `work` on the slot's stream by events around it, the fastest of `rounds`.
template <typename Work>
bool Device::time(Slot &slot, uint32_t rounds, double &nanoseconds, const char *what, Work work) {
  CudaHandle begin = nullptr;
  if (!check(driver_->eventCreate(&begin, 0), what))
    return false;
  bool good = true;
  nanoseconds = 1e18;
  for (uint32_t i = 0; good && i < rounds + 1; ++i) { // the first warms up
    float milliseconds = 0;
    good = check(driver_->eventRecord(begin, slot.stream), what) && check(work(), what) &&
           check(driver_->eventRecord(slot.done, slot.stream), what) &&
           check(driver_->eventSynchronise(slot.done), what) &&
           check(driver_->eventElapsed(&milliseconds, begin, slot.done), what);
    const double taken = 1e6 * static_cast<double>(milliseconds);
    if (i && taken < nanoseconds)
      nanoseconds = taken;
  }
  driver_->eventDestroy(begin);
  return good;
}

bool Device::measure(Slot &slot, uint32_t stages, uint32_t rounds, semdns_gpu_times &times) {
  const Driver &d = *driver_;
  const size_t answerBytes = sizeof(semdns_gpu_answer) * size_t(slot.count);
  if (!makeCurrent())
    return false;
  bool good = time(slot, rounds, times.upload, "copying texts",
                   [&] {
                     const int result = d.copyUpAsync(slot.deviceText, slot.text,
                                                      slot.offsets[slot.count], slot.stream);
                     return result ? result
                                   : d.copyUpAsync(slot.deviceOffsets, slot.offsets,
                                                   4 * (size_t(slot.count) + 1), slot.stream);
                   }) &&
              time(slot, rounds, times.read, "reading",
                   [&] { return launchRead(slot, slot.count, stages); }) &&
              time(slot, rounds, times.answer, "answering", [&] { return launchAnswer(slot); }) &&
              time(slot, rounds, times.download, "copying answers", [&] {
                return d.copyDownAsync(slot.answers, slot.deviceAnswers, answerBytes, slot.stream);
              });
  // The texts' records fit where answers go; the answers come back last.
  const auto *records = reinterpret_cast<const semdns_gpu_text *>(slot.answers);
  times.rows = 0;
  good = good &&
         check(d.copyDownAsync(slot.answers, slot.deviceTexts,
                               sizeof(semdns_gpu_text) * size_t(slot.count), slot.stream),
               "copying records") &&
         check(d.streamSynchronise(slot.stream), "copying records");
  for (uint32_t i = 0; good && i < slot.count; ++i)
    times.rows += records[i].rows == SEMDNS_NONE ? 0 : records[i].rows;
  // From the host: launch and wait.
  times.launch = 1e18;
  for (uint32_t i = 0; good && i < rounds + 1; ++i) {
    const uint64_t begin = now();
    good = check(launchRead(slot, 0, stages), "an empty kernel") &&
           check(d.streamSynchronise(slot.stream), "an empty kernel");
    const auto taken = static_cast<double>(now() - begin);
    if (i && taken < times.launch)
      times.launch = taken;
  }
  constexpr size_t kCopy = size_t(64) << 20;
  void *host = nullptr;
  CudaAddress memory = 0;
  good = good && check(d.hostAllocate(&host, kCopy, kCudaHostPortable), "pinned memory") &&
         allocate(memory, kCopy, "memory");
  if (good)
    memset(host, 1, kCopy);
  good = good &&
         time(slot, rounds, times.copy_up, "copying",
              [&] { return d.copyUpAsync(memory, host, kCopy, slot.stream); }) &&
         time(slot, rounds, times.copy_down, "copying",
              [&] { return d.copyDownAsync(host, memory, kCopy, slot.stream); });
  if (memory) {
    d.memoryFree(memory);
    info.used -= kCopy + 256;
  }
  if (host)
    d.hostFree(host);
  return good;
}

} // namespace semdns::gpu
