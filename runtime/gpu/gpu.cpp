/// The C ABI of include/semdns/gpu.h: batches over the devices' slots, the CPU for all else.
#include "runtime/artifact/contents.h"
#include "runtime/gpu/device.h"
#include "runtime/resolve/artifact.h"

#include <new>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

using namespace semdns;
using gpu::Device;
using gpu::Slot;

struct semdns_gpu {
  semdns_artifact *artifact = nullptr; ///< a reference of its own
  semdns_resolver *resolver = nullptr; ///< the CPU's part
  semdns_scratch *scratch = nullptr;
  uint32_t stages = 0; ///< of the options; 0: all
  uint32_t texts = 0, bytes = 0;
  uint32_t driver = 0;
  char reason[160] = "";
  Device *devices[SEMDNS_GPU_DEVICES_MAX] = {};
  uint32_t deviceCount = 0;
  const gpu::Driver *cuda = nullptr;
};

namespace {

constexpr uint32_t kTexts = 131072, kMostTexts = 4u << 20;
constexpr uint32_t kBytes = 8u << 20, kMostBytes = 64u << 20;

// ---- What answers mean --------------------------------------------------------------------------

void answerByCpu(semdns_gpu &g, const char *text, uint64_t size, semdns_bulk_answer &out) {
  semdns_query query = {};
  query.size = sizeof query;
  query.text = text;
  query.text_size = size;
  query.stages = g.stages;
  semdns_answer answer;
  answer.size = sizeof answer;
  // Fails for wrong arguments only, and these are right.
  if (semdns_resolve(g.resolver, g.scratch, &query, &answer) != SEMDNS_OK)
    return;
  out.zone = answer.zone.index;
  out.best = answer.best.index;
  out.confidence = answer.zone.confidence;
  out.best_confidence = answer.best.confidence;
  out.margin = answer.margin;
  out.status = static_cast<uint8_t>(answer.status);
  out.reason = static_cast<uint8_t>(answer.reason);
  out.stage = static_cast<uint8_t>(answer.stage);
  out.flags = static_cast<uint8_t>((answer.truncated ? SEMDNS_BULK_TRUNCATED : 0) |
                                   (answer.repaired ? SEMDNS_BULK_REPAIRED : 0));
}

uint32_t firstLeaf(const semdns_artifact &a) {
  uint32_t zone = 0;
  while (zone + 1 < a.zoneCount && a.zones[zone].subtree_end > zone + 1)
    ++zone;
  return zone;
}

/// The answer of stages 1 and 2, as runtime/resolve makes it; false where stage 3 has to look.
bool answerByDevice(const semdns_gpu &g, const semdns_gpu_answer &k, semdns_bulk_answer &out) {
  const semdns_artifact &a = *g.artifact;
  uint32_t zone = k.zone, confidence = k.confidence;
  const uint32_t stage = SEMDNS_GPU_STAGE(k.info), flags = SEMDNS_GPU_FLAGS(k.info);
  if (((g.stages ? g.stages : SEMDNS_STAGES_ALL) & a.stages & SEMDNS_STAGE_ENCODER) &&
      stage != SEMDNS_KERNEL_STAGE_KEYWORD) {
    const auto &clsf = *reinterpret_cast<const semdns_clsf_header *>(a.tables.clsf);
    if (stage != SEMDNS_KERNEL_STAGE_EMBEDDING)
      return false;
    if (k.best_confidence >= clsf.guard_confidence && k.odds >= clsf.guard_odds) {
      zone = k.best_zone;
      confidence = k.best_confidence;
    } else if (k.odds < clsf.reject_odds) {
      zone = 0;
      confidence = 65536;
    } else {
      return false;
    }
  }
  const bool hits = k.info & SEMDNS_GPU_HITS, none = stage == SEMDNS_KERNEL_STAGE_NONE;
  const uint32_t status = none && !hits         ? SEMDNS_NOZONE
                          : zone == k.best_zone ? SEMDNS_ROUTED
                                                : SEMDNS_FALLBACK;
  const uint32_t reason =
      flags & SEMDNS_KERNEL_TRUNCATED  ? SEMDNS_REASON_TRUNCATED
      : flags & SEMDNS_KERNEL_REPAIRED ? SEMDNS_REASON_REPAIRED
      : !none ? (zone == k.best_zone ? SEMDNS_REASON_NONE : SEMDNS_REASON_LOW_CONFIDENCE)
      : hits  ? SEMDNS_REASON_LOW_CONFIDENCE
      : k.info & SEMDNS_GPU_WORDS ? SEMDNS_REASON_NO_EVIDENCE
                                  : SEMDNS_REASON_EMPTY;
  out.zone = zone;
  out.confidence = confidence;
  const bool guess = k.best_zone || a.zoneCount == 1;
  out.best = guess ? k.best_zone : firstLeaf(a);
  out.best_confidence = guess ? k.best_confidence : 0;
  out.margin = flags & SEMDNS_KERNEL_NO_EVIDENCE ? 0 : k.margin;
  out.status = static_cast<uint8_t>(status);
  out.reason = static_cast<uint8_t>(reason);
  out.stage = static_cast<uint8_t>(stage);
  out.flags = static_cast<uint8_t>((flags & SEMDNS_KERNEL_TRUNCATED ? SEMDNS_BULK_TRUNCATED : 0) |
                                   (flags & SEMDNS_KERNEL_REPAIRED ? SEMDNS_BULK_REPAIRED : 0) |
                                   SEMDNS_BULK_DEVICE);
  return true;
}

// ---- Batches ------------------------------------------------------------------------------------

struct Batches {
  semdns_gpu &g;
  const char *text;
  const uint64_t *offsets;
  size_t count;
  semdns_bulk_answer *answers;
  semdns_gpu_stats &stats;

  uint64_t sizeOf(size_t i) const { return offsets[i + 1] - offsets[i]; }
  bool isLong(size_t i) const { return sizeOf(i) > SEMDNS_GPU_MAX_TEXT; }

  /// Copies texts from `first` on into the slot, as many as fit; those that are the CPU's anyway
  /// take no room. Returns the number of the text behind the last.
  size_t fill(Slot &slot, size_t first) const {
    uint32_t used = 0;
    size_t i = first;
    bool whole = true;
    for (; i < count && i - first < g.texts; ++i) {
      const bool skipped = isLong(i);
      const auto size = skipped ? 0 : static_cast<uint32_t>(sizeOf(i));
      if (size > g.bytes - used)
        break;
      whole &= !skipped;
      slot.offsets[i - first] = used;
      used += size;
    }
    slot.offsets[i - first] = used;
    slot.first = first;
    slot.count = static_cast<uint32_t>(i - first);
    if (whole) {
      if (used)
        memcpy(slot.text, text + offsets[first], used);
      return i;
    }
    for (size_t j = first; j < i; ++j)
      if (const uint32_t size = slot.offsets[j - first + 1] - slot.offsets[j - first])
        memcpy(slot.text + slot.offsets[j - first], text + offsets[j], size);
    return i;
  }

  void byCpu(size_t i) const { answerByCpu(g, text + offsets[i], sizeOf(i), answers[i]); }

  void collect(Device &device, Slot &slot) {
    if (!device.finish(slot)) {
      lose(device, slot);
      return;
    }
    for (uint32_t i = 0; i < slot.count; ++i) {
      const size_t at = slot.first + i;
      const semdns_gpu_answer &k = slot.answers[i];
      if (!(k.info & SEMDNS_GPU_LEFT) && !isLong(at) && answerByDevice(g, k, answers[at]))
        ++stats.on_device;
      else
        byCpu(at);
    }
  }

  /// The device has failed: what was in the slot is the CPU's.
  void lose(Device &device, Slot &slot) {
    ++stats.lost;
    if (!g.reason[0])
      snprintf(g.reason, sizeof g.reason, "%s", device.reason);
    for (uint32_t i = 0; i < slot.count; ++i)
      byCpu(slot.first + i);
    slot.busy = false;
  }

  /// Whether a batch is worth sending: something a device can do.
  bool deviceStages() const {
    const uint32_t stages = (g.stages ? g.stages : SEMDNS_STAGES_ALL) & g.artifact->stages;
    return stages & SEMDNS_STAGE_EMBEDDING;
  }

  void run() {
    stats.texts += count;
    stats.bytes += count ? offsets[count] - offsets[0] : 0;
    const uint32_t kernelStages =
        (g.stages ? g.stages : SEMDNS_STAGES_ALL) & g.artifact->stages & SEMDNS_STAGE_KEYWORD;
    const uint32_t lanes = g.deviceCount * gpu::kSlots;
    size_t next = 0;
    if (lanes && deviceStages()) {
      // Devices take turns, and each one's slots; a slot's last batch is read before it is filled.
      for (uint32_t lane = 0, idle = 0; next < count && idle < lanes; lane = (lane + 1) % lanes) {
        Device &device = *g.devices[lane % g.deviceCount];
        Slot &slot = device.slots[lane / g.deviceCount];
        if (slot.busy)
          collect(device, slot);
        if (device.info.lost) {
          ++idle;
          continue;
        }
        idle = 0;
        next = fill(slot, next);
        ++stats.launches;
        if (!device.submit(slot, kernelStages))
          lose(device, slot);
      }
      for (uint32_t lane = 0; lane < lanes; ++lane) {
        Device &device = *g.devices[lane % g.deviceCount];
        Slot &slot = device.slots[lane / g.deviceCount];
        if (slot.busy)
          collect(device, slot);
      }
    }
    for (; next < count; ++next)
      byCpu(next);
  }
};

bool ascending(const uint64_t *offsets, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (offsets[i] > offsets[i + 1])
      return false;
  return true;
}

/// Restores the caller's context when it ends.
struct KeepContext {
  const gpu::Driver *driver;
  gpu::CudaHandle context = nullptr;
  explicit KeepContext(const gpu::Driver *d) : driver(d) {
    if (driver)
      driver->contextGet(&context);
  }
  ~KeepContext() {
    if (driver)
      driver->contextSet(context);
  }
};

// ---- Opening ------------------------------------------------------------------------------------

/// The artifact's GPU code and tables; false and a reason without code.
bool findProgram(const semdns_artifact &a, gpu::Program &program, char *reason, size_t capacity) {
  artifact::Reader reader;
  base::Error error{};
  // Everything was checked when the artifact was opened.
  if (!reader.open(a.source.data(), a.source.size(), SEMDNS_KIND_HIERARCHY,
                   artifact::Check::Structure, error)) {
    snprintf(reason, capacity, "%.150s", error.message);
    return false;
  }
  const artifact::Span kgpu = reader.get(SEMDNS_TAG_KGPU, 0);
  if (!kgpu.data) {
    snprintf(
        reason, capacity,
        "the artifact has no GPU code that this library knows: build it with ptx among --targets");
    return false;
  }
  program.header = reinterpret_cast<const semdns_kgpu_header *>(kgpu.data);
  program.image = kgpu.data + program.header->image_offset;
  program.tables = a.tables;
  program.textSize = reader.get(SEMDNS_TAG_TEXT).size;
  program.keywSize = reader.get(SEMDNS_TAG_KEYW).size;
  program.tokvSize = reader.get(SEMDNS_TAG_TOKV).size;
  program.centSize = reader.get(SEMDNS_TAG_CENT).size;
  program.clsfSize = reader.get(SEMDNS_TAG_CLSF).size;
  return true;
}

void openDevices(semdns_gpu &g, int32_t wanted) {
  if (wanted == SEMDNS_GPU_NONE) {
    snprintf(g.reason, sizeof g.reason, "asked for the CPU alone");
    return;
  }
  gpu::Program program;
  if (!findProgram(*g.artifact, program, g.reason, sizeof g.reason))
    return;
  g.cuda = gpu::openDriver(g.reason, sizeof g.reason);
  if (!g.cuda)
    return;
  int version = 0, count = 0;
  g.cuda->driverVersion(&version);
  g.driver = static_cast<uint32_t>(version);
  if (g.cuda->deviceCount(&count) != gpu::kCudaSuccess || count < 1) {
    snprintf(g.reason, sizeof g.reason, "the NVIDIA driver finds no GPU");
    return;
  }
  if (wanted >= count) {
    snprintf(g.reason, sizeof g.reason, "there is no GPU %d; the driver counts %d, from 0 on",
             wanted, count);
    return;
  }
  KeepContext keep(g.cuda);
  const int begin = wanted == SEMDNS_GPU_ALL ? 0 : wanted;
  const int end = wanted == SEMDNS_GPU_ALL ? count : wanted + 1;
  for (int number = begin; number < end && g.deviceCount < SEMDNS_GPU_DEVICES_MAX; ++number) {
    void *memory = malloc(sizeof(Device));
    if (!memory)
      break;
    auto *device = new (memory) Device();
    if (device->open(*g.cuda, number, program, g.texts, g.bytes)) {
      g.devices[g.deviceCount++] = device;
      continue;
    }
    if (!g.reason[0])
      snprintf(g.reason, sizeof g.reason, "%s", device->reason);
    free(device);
  }
}

} // namespace

extern "C" {

semdns_status semdns_gpu_open(semdns_artifact *artifact, const semdns_gpu_options *options,
                              semdns_gpu **out, semdns_error *error) {
  if (!out)
    return resolve::fail(error, SEMDNS_ERROR_ARGUMENT, "out must not be null");
  *out = nullptr;
  if (!artifact || !options || options->size < sizeof *options || options->reserved ||
      options->device < SEMDNS_GPU_NONE || options->batch_texts > kMostTexts ||
      options->batch_bytes > kMostBytes || (options->stages & ~SEMDNS_STAGES_ALL))
    return resolve::fail(error, SEMDNS_ERROR_ARGUMENT,
                         "no artifact, or options of a wrong size or with a value out of range");
  void *memory = malloc(sizeof(semdns_gpu));
  if (!memory)
    return resolve::fail(error, SEMDNS_ERROR_MEMORY, "no memory for a batch resolver");
  auto *g = new (memory) semdns_gpu();
  g->artifact = semdns_artifact_retain(artifact);
  g->stages = options->stages;
  g->texts = options->batch_texts ? options->batch_texts : kTexts;
  g->bytes = options->batch_bytes ? options->batch_bytes : kBytes;
  if (g->bytes < SEMDNS_GPU_MAX_TEXT)
    g->bytes = SEMDNS_GPU_MAX_TEXT;
  semdns_status status = semdns_resolver_create(artifact, nullptr, &g->resolver, error);
  if (status == SEMDNS_OK)
    status = semdns_scratch_create(g->resolver, &g->scratch, error);
  if (status != SEMDNS_OK) {
    semdns_gpu_close(g);
    return status;
  }
  openDevices(*g, options->device);
  *out = g;
  return SEMDNS_OK;
}

void semdns_gpu_close(semdns_gpu *g) {
  if (!g)
    return;
  {
    KeepContext keep(g->cuda);
    for (uint32_t i = 0; i < g->deviceCount; ++i) {
      g->devices[i]->close();
      free(g->devices[i]);
    }
  }
  if (g->scratch)
    semdns_scratch_destroy(g->scratch);
  if (g->resolver)
    semdns_resolver_destroy(g->resolver);
  semdns_artifact_release(g->artifact);
  free(g);
}

semdns_status semdns_gpu_get_info(const semdns_gpu *g, semdns_gpu_info *info) {
  if (!g || !info || info->size < sizeof *info)
    return SEMDNS_ERROR_ARGUMENT;
  info->device_count = g->deviceCount;
  info->driver = g->driver;
  info->reserved = 0;
  memcpy(info->reason, g->reason, sizeof info->reason);
  for (uint32_t i = 0; i < g->deviceCount; ++i)
    info->devices[i] = g->devices[i]->info;
  return SEMDNS_OK;
}

semdns_status semdns_gpu_resolve_many(semdns_gpu *g, const char *text, const uint64_t *offsets,
                                      size_t count, semdns_bulk_answer *answers,
                                      semdns_gpu_stats *stats) {
  if (!g || !offsets || (!answers && count) || !ascending(offsets, count) ||
      (!text && offsets[count] > offsets[0]))
    return SEMDNS_ERROR_ARGUMENT;
  semdns_gpu_stats own = {};
  KeepContext keep(g->cuda);
  Batches{*g, text, offsets, count, answers, stats ? *stats : own}.run();
  return SEMDNS_OK;
}

semdns_status semdns_gpu_measure(semdns_gpu *g, uint32_t device, const char *text,
                                 const uint64_t *offsets, size_t count, uint32_t rounds,
                                 semdns_gpu_times *times) {
  if (!g || device >= g->deviceCount || !offsets || !count || !text || !rounds || !times ||
      times->size < sizeof *times || !ascending(offsets, count) || g->devices[device]->info.lost)
    return SEMDNS_ERROR_ARGUMENT;
  KeepContext keep(g->cuda);
  Device &d = *g->devices[device];
  Slot &slot = d.slots[0];
  semdns_gpu_stats stats = {};
  Batches{*g, text, offsets, count, nullptr, stats}.fill(slot, 0);
  times->texts = slot.count;
  times->bytes = slot.offsets[slot.count];
  times->rows = 0;
  const uint32_t stages =
      (g->stages ? g->stages : SEMDNS_STAGES_ALL) & g->artifact->stages & SEMDNS_STAGE_KEYWORD;
  return d.measure(slot, stages, rounds, *times) ? SEMDNS_OK : SEMDNS_ERROR_ARGUMENT;
}

} // extern "C"
