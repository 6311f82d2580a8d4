#include "lib/sim/replay.h"

#include "lib/sim/artifact.h"
#include "semdns/dispatch.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <queue>
#include <unordered_set>

namespace semdns::sim {
namespace {

constexpr uint64_t kStart = 1000000000000; ///< ns; before it the dispatcher's clock has no zero

struct Free {
  void operator()(void *memory) const { std::free(memory); }
};

/// A resolver over one zone with one engine, and the dispatcher on it.
struct Dispatcher {
  semdns_artifact *artifact = nullptr;
  semdns_resolver *resolver = nullptr;
  semdns_scratch *scratch = nullptr;
  semdns_dispatcher *dispatcher = nullptr;
  std::unique_ptr<void, Free> memory;

  Dispatcher() = default;
  Dispatcher(const Dispatcher &) = delete;
  Dispatcher &operator=(const Dispatcher &) = delete;
  ~Dispatcher() {
    semdns_dispatcher_deinit(dispatcher);
    semdns_scratch_destroy(scratch);
    if (resolver)
      semdns_resolver_destroy(resolver);
    semdns_artifact_release(artifact);
  }

  bool open(const ReplayOptions &options, std::string &error) {
    const std::string bytes = makeArtifact(
        {{"engine", "", 0, 0}}, {{".", 3600, false, false, {{"engine", 1}}, {}}}, 1, error);
    if (bytes.empty())
      return false;
    semdns_error e = {};
    e.size = sizeof e;
    semdns_dispatcher_options d = {};
    d.size = sizeof d;
    d.max_tickets = std::min(options.endpoints * options.places + 1, 1u << 20);
    d.max_endpoints = options.endpoints;
    d.max_blocks = static_cast<uint32_t>(
        std::min<uint64_t>(uint64_t(options.endpoints) * options.blocks + 64, 1u << 24));
    d.lanes = 1;
    d.seed = options.seed;
    const size_t size = semdns_dispatcher_size(&d);
    memory.reset(std::aligned_alloc(64, size));
    if (!size || !memory) {
      error = "endpoints, blocks or places are out of range";
      return false;
    }
    std::string config = "set attempt-timeout 1440m\nset stream-lease 1440m\n";
    if (options.patience)
      config += "set patience " + std::to_string(options.patience) + "ms\n";
    config += "zone . select=" + options.policy;
    config += options.weights.empty() ? "\n" : " weights=" + options.weights + "\n";
    for (uint32_t i = 0; i < options.endpoints; ++i)
      config += "endpoint e" + std::to_string(i) +
                " engine=engine capacity=" + std::to_string(options.places) +
                " blocks=" + std::to_string(options.blocks) +
                (options.speed ? " speed=" + std::to_string(options.speed) : "") + "\n";
    const bool good =
        semdns_artifact_open_memory(bytes.data(), bytes.size(), nullptr, &artifact, &e) ==
            SEMDNS_OK &&
        semdns_resolver_create(artifact, nullptr, &resolver, &e) == SEMDNS_OK &&
        semdns_scratch_create(resolver, &scratch, &e) == SEMDNS_OK &&
        semdns_dispatcher_init(resolver, &d, memory.get(), size, &dispatcher, &e) == SEMDNS_OK &&
        semdns_dispatcher_configure(dispatcher, artifact, config.data(), config.size(), kStart,
                                    &e) == SEMDNS_OK;
    if (!good)
      error = e.message;
    return good;
  }
};

struct Running {
  uint64_t end, ticket, attempt;
  uint32_t request;
  /// The first to end comes first; of two, the first begun.
  bool operator<(const Running &other) const {
    return end != other.end ? end > other.end : request > other.request;
  }
};

struct Part {
  ReplayPart figures;
  std::vector<uint64_t> waits;
  ReplayPart finish() {
    if (!waits.empty()) {
      std::sort(waits.begin(), waits.end());
      const auto at = [&](size_t percent) {
        return waits[std::min(waits.size() - 1, waits.size() * percent / 100)];
      };
      figures.waitP50 = at(50);
      figures.waitP90 = at(90);
      figures.waitP99 = at(99);
      figures.waitMax = waits.back();
    }
    return figures;
  }
};

} // namespace

double ReplayResult::worstImbalance() const {
  double worst = 1;
  for (const ReplayWindow &window : windows)
    worst = std::max(worst, window.imbalance(options.endpoints));
  return worst;
}

std::vector<uint32_t> infiniteHits(const Trace &trace) {
  std::unordered_set<uint64_t> seen;
  std::vector<uint32_t> out;
  for (const TraceRequest &request : trace.requests) {
    const auto blocks = trace.blocksOf(request);
    uint32_t hits = 0;
    while (hits < blocks.size() && seen.count(blocks[hits]))
      ++hits;
    seen.insert(blocks.begin(), blocks.end());
    out.push_back(hits);
  }
  return out;
}

std::optional<ReplayResult> replay(const Trace &trace, const std::vector<uint32_t> &infinite,
                                   const ReplayOptions &options, std::string &error,
                                   const std::function<void(uint64_t)> &progress) {
  Dispatcher d;
  if (!d.open(options, error))
    return std::nullopt;
  std::vector<SimulatedEndpoint> endpoints(options.endpoints, SimulatedEndpoint(options.blocks));
  std::priority_queue<Running> running;
  Part whole, halves[2];
  std::vector<std::vector<uint64_t>> windows; // [window][endpoint] ns

  const auto finish = [&](const Running &r) {
    semdns_measures measures = {};
    measures.size = sizeof measures;
    measures.tokens = trace.requests[r.request].outputTokens;
    semdns_report(d.dispatcher, r.attempt, SEMDNS_REPORT_OK, &measures, r.end);
    semdns_query_end(d.dispatcher, r.ticket, r.end);
  };
  for (uint32_t i = 0; i < trace.requests.size(); ++i) {
    const TraceRequest &request = trace.requests[i];
    const uint64_t now = kStart + request.at;
    for (; !running.empty() && running.top().end <= now; running.pop())
      finish(running.top());
    if (progress && i % 256 == 0)
      progress(i);

    const auto blocks = trace.blocksOf(request);
    const std::string text = "request " + std::to_string(i);
    semdns_query plain = {};
    plain.size = sizeof plain;
    plain.text = text.data();
    plain.text_size = text.size();
    semdns_dispatch_query q = {};
    q.size = sizeof q;
    q.query = &plain;
    q.tokens = std::max(request.inputTokens, 1u);
    q.output_tokens = options.outputKnown ? std::max(request.outputTokens, 1u) : 0;
    if (trace.hasPrefixes) {
      q.blocks = blocks.data();
      q.block_count = request.blockCount;
      // What the prompts of one conversation have in common: the first block is everybody's system
      // prompt, the second is the conversation's own.
      q.session = blocks.empty() ? 0 : blocks[std::min<size_t>(1, blocks.size() - 1)];
    }
    uint64_t ticket = 0;
    semdns_step step = {};
    step.size = sizeof step;
    const bool chosen =
        semdns_query_begin(d.dispatcher, d.scratch, &q, now, &ticket) == SEMDNS_OK &&
        semdns_query_next(d.dispatcher, ticket, now, &step) == SEMDNS_OK &&
        step.action == SEMDNS_TRY;
    const auto record = [&](auto &&change) {
      change(whole);
      change(halves[i < (trace.requests.size() + 1) / 2 ? 0 : 1]);
    };
    if (!chosen) {
      if (ticket)
        semdns_query_end(d.dispatcher, ticket, now);
      record([](Part &part) {
        ++part.figures.requests;
        ++part.figures.shed;
      });
      continue;
    }
    const auto endpoint = static_cast<uint32_t>(std::strtoul(step.endpoint + 1, nullptr, 10));
    const Service service =
        endpoints[endpoint].serve(now, blocks, request.outputTokens, options.service);
    running.push({service.end, ticket, step.attempt, i});
    record([&](Part &part) {
      ++part.figures.requests;
      part.figures.blocks += request.blockCount;
      part.figures.hits += service.hit;
      part.figures.infiniteHits += infinite[i];
      part.figures.busy += service.end - service.start;
      part.waits.push_back(service.start - now);
    });
    for (uint64_t at = service.start - kStart; at < service.end - kStart;) {
      const size_t window = at / options.window;
      const uint64_t end = std::min(service.end - kStart, (window + 1) * options.window);
      if (window >= windows.size())
        windows.resize(window + 1, std::vector<uint64_t>(options.endpoints));
      windows[window][endpoint] += end - at;
      at = end;
    }
  }
  for (; !running.empty(); running.pop())
    finish(running.top());

  ReplayResult out;
  out.options = options;
  out.whole = whole.finish();
  out.firstHalf = halves[0].finish();
  out.secondHalf = halves[1].finish();
  const uint64_t last = trace.requests.back().at;
  for (size_t w = 0; w < windows.size() && w * options.window + options.window / 2 <= last; ++w) {
    ReplayWindow window;
    window.start = w * options.window;
    for (const uint64_t busy : windows[w]) {
      window.sum += busy;
      window.most = std::max(window.most, busy);
    }
    out.windows.push_back(window);
  }
  return out;
}

} // namespace semdns::sim
