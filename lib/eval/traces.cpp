#include "lib/eval/traces.h"

#include "lib/eval/page.h"
#include "lib/eval/plot.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>

namespace semdns::eval {
namespace {

using Json = nlohmann::ordered_json;
using sim::ReplayPart;
using sim::ReplayResult;

constexpr const char *kColours[] = {colour::kBlue, colour::kOrange, colour::kGreen, colour::kYellow,
                                    colour::kPurple};

const char *colourOf(size_t policy) { return kColours[policy % std::size(kColours)]; }

double ms(uint64_t ns) { return double(ns) / 1e6; }
std::string seconds(uint64_t ns) { return number(double(ns) / 1e9, 2); }

/// p99 over that of consistent hashing; nullopt where that is not there or never waits.
std::optional<double> againstHash(const TraceReport &report, const ReplayResult &result) {
  for (const ReplayResult &other : report.policies)
    if (other.options.policy == "hash" && other.whole.waitP99)
      return double(result.whole.waitP99) / double(other.whole.waitP99);
  return std::nullopt;
}

size_t points(const TraceReport &report) { return report.capacities.size(); }

const ReplayResult &at(const TraceReport &report, size_t policy, size_t capacity) {
  return report.sweep[policy * points(report) + capacity];
}

/// A table whose columns are as wide as what stands in them; the first is left-aligned.
std::string aligned(const std::vector<std::vector<std::string>> &rows) {
  std::vector<size_t> width;
  for (const auto &row : rows)
    for (size_t c = 0; c < row.size(); ++c) {
      width.resize(std::max(width.size(), c + 1));
      width[c] = std::max(width[c], row[c].size());
    }
  std::string out;
  for (const auto &row : rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string space(width[c] - row[c].size(), ' ');
      out += c ? "  " + space + row[c] : row[c] + space;
    }
    out += '\n';
  }
  return out;
}

std::string summary(const TraceReport &report) {
  const sim::ReplayOptions &o = report.policies[0].options;
  const ReplayPart &whole = report.policies[0].whole;
  char text[400];
  std::snprintf(
      text, sizeof text,
      "%zu requests in %.0f s, %zu prompt blocks%s; %u endpoints of %u blocks; %.4g ms an "
      "uncached block, %.4g ms an output token",
      report.trace->requests.size(), double(report.trace->requests.back().at) / 1e9,
      report.trace->blocks.size(),
      report.trace->hasPrefixes
          ? (", " +
             number(100.0 * double(whole.infiniteHits) /
                        double(std::max<uint64_t>(1, report.trace->blocks.size())),
                    1) +
             " % of them hits of one infinite cache")
                .c_str()
          : ", none shared",
      o.endpoints, o.blocks, ms(o.service.perBlock), ms(o.service.perOutputToken));
  return text;
}

std::vector<std::vector<std::string>> policyRows(const TraceReport &report) {
  std::vector<std::vector<std::string>> rows = {{"policy", "hits", "of infinite", "1st half",
                                                 "2nd half", "wait p50 s", "p99 s", "max s",
                                                 "p99/hash", "max/mean", "shed"}};
  for (const ReplayResult &r : report.policies) {
    const auto share = [&](const ReplayPart &part) {
      return part.infiniteHits ? number(part.ofInfinite(), 3) : std::string("-");
    };
    const std::optional<double> ratio = againstHash(report, r);
    rows.push_back(
        {r.options.policy,
         report.trace->hasPrefixes ? number(100 * r.whole.hitShare(), 1) + " %" : "-",
         share(r.whole), share(r.firstHalf), share(r.secondHalf), seconds(r.whole.waitP50),
         seconds(r.whole.waitP99), seconds(r.whole.waitMax), ratio ? number(*ratio, 3) : "-",
         r.windows.empty() ? "-" : number(r.worstImbalance(), 2), std::to_string(r.whole.shed)});
  }
  return rows;
}

std::vector<std::vector<std::string>> sweepRows(const TraceReport &report) {
  std::vector<std::vector<std::string>> rows = {{"blocks"}};
  for (const uint32_t capacity : report.capacities)
    rows[0].push_back(std::to_string(capacity));
  for (size_t p = 0; p < report.policies.size(); ++p) {
    rows.push_back({report.policies[p].options.policy});
    for (size_t c = 0; c < points(report); ++c)
      rows.back().push_back(number(at(report, p, c).whole.ofInfinite(), 3));
  }
  return rows;
}

/// Capacity that each policy needs for what "score" has with the capacity of the run.
std::vector<std::vector<std::string>> memoryRows(const TraceReport &report) {
  std::vector<std::vector<std::string>> rows = {{"policy"}};
  std::vector<double> wanted;
  for (const double share : {0.5, 0.7, 0.8, 0.9, 0.95}) {
    wanted.push_back(share);
    rows[0].push_back(number(share, 2));
  }
  for (size_t p = 0; p < report.policies.size(); ++p) {
    rows.push_back({report.policies[p].options.policy});
    for (const double share : wanted) {
      const std::optional<double> capacity = capacityFor(report, p, share);
      rows.back().push_back(capacity ? number(*capacity, 0) : "-");
    }
  }
  return rows;
}

std::string htmlTable(const std::vector<std::vector<std::string>> &rows) {
  std::string out = "<table>";
  for (size_t r = 0; r < rows.size(); ++r) {
    out += "<tr>";
    for (size_t c = 0; c < rows[r].size(); ++c) {
      const char *tag = r ? "td" : "th";
      out += std::string("<") + tag + (c ? " class='n'>" : ">") + escaped(rows[r][c]) + "</" + tag +
             ">";
    }
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

std::string card(const std::string &inside) { return "<div class='card'>" + inside + "</div>\n"; }

Plot withLegend(const TraceReport &report, std::string title, Plot::Axis x, Plot::Axis y) {
  Plot plot(std::move(title), std::move(x), std::move(y), 940, 340);
  for (size_t p = 0; p < report.policies.size(); ++p)
    plot.legend(colourOf(p), report.policies[p].options.policy);
  return plot;
}

/// Bars in groups: `value(policy, group)`.
template <typename Value>
void bars(const TraceReport &report, Plot &plot, size_t groups, Value &&value) {
  const double wide = 0.8 / double(report.policies.size());
  for (size_t g = 0; g < groups; ++g)
    for (size_t p = 0; p < report.policies.size(); ++p) {
      const double left = double(g) + 0.6 + double(p) * wide, v = value(p, g);
      plot.bar(left, left + 0.9 * wide, 0, v, colourOf(p), 1,
               report.policies[p].options.policy + ": " + number(v, 3));
    }
}

std::string plots(const TraceReport &report) {
  std::string out;
  double slowest = 0, worst = 1;
  size_t windows = 0;
  for (const ReplayResult &r : report.policies) {
    slowest = std::max(slowest, double(r.whole.waitP99) / 1e9);
    windows = std::max(windows, r.windows.size());
    for (const sim::ReplayWindow &w : r.windows)
      worst = std::max(worst, w.imbalance(r.options.endpoints));
  }
  const auto policyAxis = [&] { return Plot::Axis{"", 0.5, 1.5, false, false}; };
  if (report.trace->hasPrefixes) {
    Plot plot = withLegend(report, "Block hits, of those of one infinite cache", policyAxis(),
                           {"share", 0, 1, true});
    bars(report, plot, 1, [&](size_t p, size_t) { return report.policies[p].whole.ofInfinite(); });
    out += card(plot.svg());
  }
  {
    Plot plot = withLegend(report, "Wait in the queue, 99th percentile", policyAxis(),
                           {"s", 0, roundUp(slowest), false});
    bars(report, plot, 1,
         [&](size_t p, size_t) { return double(report.policies[p].whole.waitP99) / 1e9; });
    out += card(plot.svg());
  }
  if (windows) {
    Plot plot = withLegend(report, "Balance: the busiest endpoint over the mean, window by window",
                           {"window", 0, double(windows) + 1, false},
                           {"max/mean", 0, std::min(roundUp(worst), 5.0), false});
    bars(report, plot, windows, [&](size_t p, size_t w) {
      const ReplayResult &r = report.policies[p];
      return w < r.windows.size() ? r.windows[w].imbalance(r.options.endpoints) : 0;
    });
    out += card(plot.svg());
  }
  if (points(report) > 1 && report.trace->hasPrefixes) {
    Plot hits = withLegend(report, "Block hits against KV memory",
                           {"blocks an endpoint", 0, double(report.capacities.back()), false},
                           {"of the infinite cache", 0, 1, true});
    double longest = 0;
    for (const ReplayResult &r : report.sweep)
      longest = std::max(longest, double(r.whole.waitP99) / 1e9);
    Plot waits = withLegend(report, "Wait, 99th percentile, against KV memory",
                            {"blocks an endpoint", 0, double(report.capacities.back()), false},
                            {"s", 0, roundUp(longest), false});
    for (size_t p = 0; p < report.policies.size(); ++p) {
      Plot::Points hitLine, waitLine;
      for (size_t c = 0; c < points(report); ++c) {
        hitLine.emplace_back(report.capacities[c], at(report, p, c).whole.ofInfinite());
        waitLine.emplace_back(report.capacities[c], double(at(report, p, c).whole.waitP99) / 1e9);
      }
      hits.line(hitLine, colourOf(p));
      waits.line(waitLine, colourOf(p));
    }
    out += card(hits.svg()) + card(waits.svg());
  }
  return out;
}

Json partJson(const ReplayPart &part) {
  Json out;
  out["requests"] = part.requests;
  out["shed"] = part.shed;
  out["blocks"] = part.blocks;
  out["hits"] = part.hits;
  out["hit_share"] = part.hitShare();
  out["of_infinite"] = part.infiniteHits ? Json(part.ofInfinite()) : Json(nullptr);
  out["wait_ms"] = {{"p50", ms(part.waitP50)},
                    {"p90", ms(part.waitP90)},
                    {"p99", ms(part.waitP99)},
                    {"max", ms(part.waitMax)}};
  out["busy_ms"] = ms(part.busy);
  return out;
}

} // namespace

std::optional<double> capacityFor(const TraceReport &report, size_t policy, double share) {
  double before = 0, beforeShare = 0;
  for (size_t c = 0; c < points(report); ++c) {
    const double here = report.capacities[c], hereShare = at(report, policy, c).whole.ofInfinite();
    if (hereShare >= share)
      return c ? before + (here - before) * (share - beforeShare) / (hereShare - beforeShare)
               : here;
    before = here;
    beforeShare = hereShare;
  }
  return std::nullopt;
}

std::string traceText(const TraceReport &report) {
  std::string out =
      report.trace->file + ": " + summary(report) + "\n\n" + aligned(policyRows(report));
  if (points(report) && report.trace->hasPrefixes) {
    out += "\nhits, of those of one infinite cache, by KV memory (blocks an endpoint)\n" +
           aligned(sweepRows(report));
    out += "\nblocks an endpoint that give this share of the infinite cache's hits\n" +
           aligned(memoryRows(report));
  }
  return out;
}

std::string traceJson(const TraceReport &report) {
  const sim::ReplayOptions &o = report.policies[0].options;
  Json root;
  root["trace"] = {{"file", report.trace->file},
                   {"requests", report.trace->requests.size()},
                   {"seconds", double(report.trace->requests.back().at) / 1e9},
                   {"blocks", report.trace->blocks.size()},
                   {"prefixes", report.trace->hasPrefixes}};
  root["endpoints"] = o.endpoints;
  root["blocks"] = o.blocks;
  root["places"] = o.places;
  root["seed"] = o.seed;
  root["output_known"] = o.outputKnown;
  root["service"] = {{"ms_per_block", ms(o.service.perBlock)},
                     {"ms_per_output_token", ms(o.service.perOutputToken)}};
  for (const ReplayResult &r : report.policies) {
    Json entry = partJson(r.whole);
    entry["first_half"] = partJson(r.firstHalf);
    entry["second_half"] = partJson(r.secondHalf);
    const std::optional<double> ratio = againstHash(report, r);
    entry["p99_of_hash"] = ratio ? Json(*ratio) : Json(nullptr);
    entry["max_over_mean"] = r.windows.empty() ? Json(nullptr) : Json(r.worstImbalance());
    entry["windows"] = Json::array();
    for (const sim::ReplayWindow &w : r.windows)
      entry["windows"].push_back({{"start_s", double(w.start) / 1e9},
                                  {"max_over_mean", w.imbalance(r.options.endpoints)},
                                  {"busy_ms", ms(w.sum)}});
    root["policies"][r.options.policy] = std::move(entry);
  }
  if (points(report)) {
    Json sweep;
    sweep["blocks"] = report.capacities;
    for (size_t p = 0; p < report.policies.size(); ++p) {
      Json of = Json::array(), p99 = Json::array(), balance = Json::array();
      for (size_t c = 0; c < points(report); ++c) {
        const ReplayResult &r = at(report, p, c);
        of.push_back(r.whole.ofInfinite());
        p99.push_back(ms(r.whole.waitP99));
        balance.push_back(r.windows.empty() ? Json(nullptr) : Json(r.worstImbalance()));
      }
      Json need;
      for (const double share : {0.5, 0.7, 0.8, 0.9, 0.95}) {
        const std::optional<double> capacity = capacityFor(report, p, share);
        need[number(share, 2)] = capacity ? Json(*capacity) : Json(nullptr);
      }
      sweep["policies"][report.policies[p].options.policy] = {{"of_infinite", of},
                                                              {"wait_p99_ms", p99},
                                                              {"max_over_mean", balance},
                                                              {"blocks_for_share", need}};
    }
    root["sweep"] = std::move(sweep);
  }
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string traceHtml(const TraceReport &report) {
  std::string out =
      "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
      "<meta name='viewport' content='width=device-width,initial-scale=1'>"
      "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; "
      "style-src 'unsafe-inline'\"><title>" +
      escaped(report.trace->file) + ": replay</title><style>" + kPageStyle +
      "</style></head><body>\n<h1>Trace replay</h1><p class='sub'>" + escaped(report.trace->file) +
      "</p><p class='sub'>" + escaped(summary(report)) +
      "</p>\n<h2>Policies</h2>\n<p class='note'>Each endpoint serves one request at a "
      "time, first come, first served, and keeps the prompt blocks that it used last. "
      "Waits are those in its queue. Balance is the service time of the busiest "
      "endpoint over the mean, the worst of all windows of " +
      number(double(report.policies[0].options.window) / 60e9, 0) + " minutes.</p>\n" +
      htmlTable(policyRows(report)) + plots(report);
  if (points(report) && report.trace->hasPrefixes) {
    out += "<h2>KV memory</h2>\n<p class='note'>Hits, of those of one infinite cache, by blocks an "
           "endpoint (equal memory).</p>\n" +
           htmlTable(sweepRows(report)) +
           "<p class='note'>Blocks an endpoint that give this share of the infinite cache's hits "
           "(equal hits; straight lines between the points above).</p>\n" +
           htmlTable(memoryRows(report));
  }
  return out + "</body></html>\n";
}

} // namespace semdns::eval
