#include "lib/sim/scenario.h"

#include "lib/sim/artifact.h"
#include "lib/support/files.h"
#include "semdns/dispatch.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

namespace semdns::sim {
namespace {

constexpr uint64_t kMs = 1000000, kStart = 1000000 * kMs;

struct Token {
  std::string text;
  uint32_t column = 0;
  bool quoted = false;
};

/// Thrown at a bad line; caught by run().
struct Bad {
  uint32_t line, column;
  std::string message, help;
};

using Facts = std::map<std::string, std::string>;

std::string number(uint64_t value) { return std::to_string(value); }
std::string milliseconds(uint64_t ns) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", static_cast<double>(ns) / kMs);
  return text;
}
std::string lower(std::string text) {
  for (char &c : text)
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

/// How an endpoint of the simulation behaves.
struct Simulated {
  std::string state = "up";
  uint64_t latency = 10 * kMs;
};

struct Live {
  uint64_t ticket = 0;
  std::vector<uint64_t> attempts;
  std::string text, context, scope, region, regions, requestId, traceparent;
  std::vector<uint64_t> blocks;
  Facts facts;
};

struct Source {
  std::vector<EngineText> engines;
  std::vector<ZoneText> zones;
  EncoderText encoder;
  std::string file;
  std::string bytes;
  uint64_t serial = 0;
  semdns_artifact *artifact = nullptr;
};

struct Free {
  void operator()(void *memory) const { std::free(memory); }
};

class Run {
public:
  Run(std::string_view text, std::string file,
      const std::function<void(const std::string &)> &trace)
      : file_(std::move(file)), trace_(trace) {
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      lines_.emplace_back(text.substr(at, end - at));
      at = end + 1;
    }
  }
  ~Run() {
    semdns_dispatcher_deinit(dispatcher_);
    semdns_scratch_destroy(scratch_);
    if (resolver_)
      semdns_resolver_destroy(resolver_);
    for (auto &[name, source] : sources_)
      semdns_artifact_release(source.artifact);
  }
  Run(const Run &) = delete;
  Run &operator=(const Run &) = delete;

  ScenarioResult result;

  void run() {
    for (line_ = 1; line_ <= lines_.size(); ++line_) {
      tokens_ = split(lines_[line_ - 1]);
      at_ = 0;
      if (!tokens_.empty())
        statement();
    }
    if (dispatcher_)
      drainLog();
  }

private:
  // ---- Words ------------------------------------------------------------------------------------

  [[noreturn]] void bad(const Token &where, std::string message, std::string help = {}) const {
    throw Bad{static_cast<uint32_t>(line_), where.column, std::move(message), std::move(help)};
  }
  [[noreturn]] void unknown(const char *what, const Token &word,
                            const std::vector<std::string> &known) const {
    bad(word, std::string("unknown ") + what + " '" + word.text + "'",
        didYouMean(word.text, known));
  }

  std::vector<Token> split(const std::string &line) const {
    std::vector<Token> out;
    for (size_t i = 0; i < line.size();) {
      if (line[i] == ' ' || line[i] == '\t' || line[i] == '\r') {
        ++i;
        continue;
      }
      if (line[i] == '#')
        break;
      Token token;
      token.column = static_cast<uint32_t>(i + 1);
      bool inside = false;
      for (; i < line.size() && (inside || (line[i] != ' ' && line[i] != '\t' && line[i] != '\r'));
           ++i)
        if (line[i] == '"') {
          inside = !inside;
          token.quoted = true;
        } else {
          token.text += line[i];
        }
      if (inside)
        throw Bad{static_cast<uint32_t>(line_), token.column, "a quotation does not end here", ""};
      out.push_back(token);
    }
    return out;
  }

  bool more() const { return at_ < tokens_.size(); }
  const Token &need(const char *what) {
    if (!more()) {
      Token end;
      end.column = static_cast<uint32_t>(lines_[line_ - 1].size() + 1);
      bad(end, std::string("expected ") + what);
    }
    return tokens_[at_++];
  }

  struct Pair {
    std::string key, value, op;
    Token where;
  };
  Pair pair(const Token &token) const {
    const size_t at = token.text.find_first_of("=<>!");
    if (at == std::string::npos || at == 0)
      bad(token, "expected key=value, found '" + token.text + "'");
    size_t size =
        token.text[at] != '=' && at + 1 < token.text.size() && token.text[at + 1] == '=' ? 2 : 1;
    return {token.text.substr(0, at), token.text.substr(at + size), token.text.substr(at, size),
            token};
  }

  uint64_t whole(const Token &where, const std::string &text) const {
    char *end = nullptr;
    const uint64_t value = std::strtoull(text.c_str(), &end, 10);
    if (text.empty() || *end || text[0] == '-' || text[0] == '+')
      bad(where, "expected a whole number, found '" + text + "'");
    return value;
  }
  int64_t duration(const Token &where, const std::string &text) const {
    char *end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    const std::string unit = end;
    const double factor = unit == "us"   ? 1e3
                          : unit == "ms" ? 1e6
                          : unit == "s"  ? 1e9
                          : unit == "m"  ? 60e9
                          : unit == "h"  ? 3600e9
                          : unit == "d"  ? 86400e9
                                         : 0;
    if (end == text.c_str() || factor == 0 || !(value * factor < 1e18 && value * factor > -1e18))
      bad(where, "expected a time like 1800ms, 2s or 1d, found '" + text + "'");
    return static_cast<int64_t>(value * factor);
  }
  static std::vector<std::string> list(const std::string &text) {
    std::vector<std::string> out;
    for (size_t at = 0; at <= text.size();) {
      const size_t end = std::min(text.find(',', at), text.size());
      if (end > at)
        out.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    return out;
  }
  void say(const std::string &what) const {
    if (trace_)
      trace_(file_ + ":" + std::to_string(line_) + ": [" + milliseconds(now_ - kStart) + " ms] " +
             what);
  }

  /// Lines up to END.
  std::string block() {
    std::string out;
    const size_t begin = line_;
    for (++line_; line_ <= lines_.size(); ++line_) {
      const std::vector<Token> tokens = split(lines_[line_ - 1]);
      if (tokens.size() == 1 && tokens[0].text == "END")
        return out;
      out += lines_[line_ - 1] + "\n";
    }
    line_ = begin;
    bad(tokens_[0], "the block has no END");
  }

  // ---- Preparing --------------------------------------------------------------------------------

  void statement() {
    const Token &word = tokens_[at_++];
    if (word.text == "STEP") {
      const Token &n = need("a step number");
      const uint64_t step = whole(n, n.text);
      if (step < lastStep_)
        bad(n, "step " + n.text + " comes after step " + number(lastStep_));
      lastStep_ = step;
      build();
      ++result.steps;
      this->step();
      return;
    }
    if (word.text == "ENDPOINT")
      return endpoint();
    if (dispatcher_ && (word.text == "ENGINE" || word.text == "ZONE" || word.text == "ENCODER" ||
                        word.text == "ARTIFACT" || word.text == "OPTION" || word.text == "CONFIG"))
      bad(word, word.text + " must come before the first STEP");
    if (word.text == "ARTIFACT")
      return artifact();
    if (word.text == "ENGINE")
      return engine();
    if (word.text == "ZONE")
      return zone();
    if (word.text == "ENCODER")
      return encoder();
    if (word.text == "OPTION")
      return option();
    if (word.text == "CONFIG") {
      config_ = block();
      hasConfig_ = true;
      return;
    }
    unknown("statement", word,
            {"STEP", "ENDPOINT", "ARTIFACT", "ENGINE", "ZONE", "ENCODER", "OPTION", "CONFIG"});
  }

  Source &current() {
    if (order_.empty())
      order_.push_back("main");
    return sources_[order_.back()];
  }

  void artifact() {
    const Token &name = need("a name");
    if (sources_.count(name.text))
      bad(name, "artifact '" + name.text + "' is there already");
    order_.push_back(name.text);
    Source &source = current();
    while (more()) {
      const Pair p = pair(tokens_[at_++]);
      if (p.key == "serial")
        source.serial = whole(p.where, p.value);
      else if (p.key == "file")
        source.file = resolveBeside(file_, p.value);
      else
        unknownKey(p, {"serial", "file"});
    }
  }
  [[noreturn]] void unknownKey(const Pair &p, const std::vector<std::string> &known) const {
    bad(p.where, "unknown key '" + p.key + "'", didYouMean(p.key, known));
  }

  void engine() {
    EngineText out;
    out.name = need("an engine's name").text;
    while (more()) {
      const Pair p = pair(tokens_[at_++]);
      if (p.key == "context") {
        out.maxContext = static_cast<uint32_t>(whole(p.where, p.value));
      } else if (p.key == "cost") {
        char *end = nullptr;
        const double cost = std::strtod(p.value.c_str(), &end);
        if (p.value.empty() || *end || !(cost >= 0 && cost < 1e6))
          bad(p.where, "expected a cost of a million tokens, found '" + p.value + "'");
        out.costNano = static_cast<uint64_t>(cost * 1e9);
      } else if (p.key == "region") {
        out.region = p.value;
      } else if (p.key == "tier") {
        const std::vector<std::string> tiers = {"root", "domain", "subdomain", "specialist"};
        const auto found = std::find(tiers.begin(), tiers.end(), p.value);
        if (found == tiers.end())
          bad(p.where, "unknown tier '" + p.value + "'", didYouMean(p.value, tiers));
        out.tier = static_cast<uint32_t>(found - tiers.begin());
      } else {
        unknownKey(p, {"context", "cost", "region", "tier"});
      }
    }
    current().engines.push_back(out);
  }

  void zone() {
    ZoneText out;
    const Token &name = need("a zone's name");
    out.name = name.text;
    if (out.name.empty() || out.name.back() != '.')
      bad(name, "a zone's name ends in '.'");
    while (more()) {
      const Token &token = tokens_[at_++];
      if (token.text == "restricted") {
        out.restricted = true;
        continue;
      }
      if (token.text == "shareable") {
        out.shareable = true;
        continue;
      }
      const Pair p = pair(token);
      if (p.key == "ttl")
        out.ttl = static_cast<uint32_t>(whole(p.where, p.value));
      else if (p.key == "keywords")
        out.keywords = list(p.value);
      else if (p.key == "engines")
        for (const std::string &entry : list(p.value)) {
          const size_t colon = entry.find(':');
          out.engines.emplace_back(
              entry.substr(0, colon),
              colon == std::string::npos
                  ? 1
                  : static_cast<uint32_t>(whole(p.where, entry.substr(colon + 1))));
        }
      else
        unknownKey(p, {"ttl", "keywords", "engines", "restricted", "shareable"});
    }
    current().zones.push_back(out);
  }

  void encoder() {
    EncoderText &out = current().encoder;
    while (more()) {
      const Pair p = pair(tokens_[at_++]);
      if (p.key == "zone")
        out.zone = p.value;
      else if (p.key == "cost")
        out.cost = static_cast<uint64_t>(std::max<int64_t>(duration(p.where, p.value), 0));
      else
        unknownKey(p, {"zone", "cost"});
    }
  }

  void option() {
    while (more()) {
      const Pair p = pair(tokens_[at_++]);
      const uint64_t n = whole(p.where, p.value);
      const auto small = static_cast<uint32_t>(std::min<uint64_t>(n, UINT32_MAX));
      if (p.key == "tickets")
        options_.max_tickets = small;
      else if (p.key == "endpoints")
        options_.max_endpoints = small;
      else if (p.key == "blocks")
        options_.max_blocks = small;
      else if (p.key == "scopes")
        options_.max_scopes = small;
      else if (p.key == "lanes")
        options_.lanes = small;
      else if (p.key == "policy-words")
        options_.max_policy_words = small;
      else if (p.key == "cache")
        options_.cache_bytes = n;
      else if (p.key == "history")
        options_.max_history = small;
      else if (p.key == "log")
        options_.log_entries = small;
      else if (p.key == "log-text")
        options_.log_text = small;
      else if (p.key == "seed")
        options_.seed = n;
      else
        unknownKey(p, {"tickets", "endpoints", "blocks", "scopes", "lanes", "policy-words", "log",
                       "log-text", "history", "cache", "seed"});
    }
  }

  void endpoint() {
    const Token &name = need("an endpoint");
    Simulated &simulated = simulated_[name.text];
    const Token &state = need("a state");
    const std::vector<std::string> states = {"up", "down", "silent", "cut"};
    if (std::find(states.begin(), states.end(), state.text) == states.end())
      unknown("state", state, states);
    simulated.state = state.text;
    while (more()) {
      const Pair p = pair(tokens_[at_++]);
      if (p.key != "latency")
        unknownKey(p, {"latency"});
      simulated.latency = static_cast<uint64_t>(std::max<int64_t>(duration(p.where, p.value), 0));
    }
  }

  void build() {
    if (dispatcher_)
      return;
    Token where;
    where.column = 1;
    semdns_error error = {};
    error.size = sizeof error;
    current();
    for (size_t i = 0; i < order_.size(); ++i) {
      Source &source = sources_[order_[i]];
      std::string why, &bytes = source.bytes;
      if (!source.file.empty()) {
        std::optional<std::string> read = readFile(source.file, why);
        if (!read)
          bad(where, why);
        bytes = std::move(*read);
      } else {
        bytes = makeArtifact(source.engines, source.zones, source.serial ? source.serial : i + 1,
                             why, source.encoder);
        if (bytes.empty())
          bad(where, "artifact '" + order_[i] + "': " + why);
      }
      if (semdns_artifact_open_memory(bytes.data(), bytes.size(), nullptr, &source.artifact,
                                      &error) != SEMDNS_OK)
        bad(where, "artifact '" + order_[i] + "': " + error.message);
    }
    artifact_ = sources_[order_[0]].artifact;
    options_.size = sizeof options_;
    const size_t size = semdns_dispatcher_size(&options_);
    memory_.reset(size ? std::aligned_alloc(64, size) : nullptr);
    if (semdns_resolver_create(artifact_, nullptr, &resolver_, &error) != SEMDNS_OK ||
        semdns_scratch_create(resolver_, &scratch_, &error) != SEMDNS_OK ||
        semdns_dispatcher_init(resolver_, &options_, memory_.get(), size, &dispatcher_, &error) !=
            SEMDNS_OK)
      bad(where, error.message);
    if (hasConfig_ && semdns_dispatcher_configure(dispatcher_, artifact_, config_.data(),
                                                  config_.size(), now_, &error) != SEMDNS_OK)
      bad(where, std::string("the CONFIG block is refused: ") + error.message);
  }

  // ---- Steps ------------------------------------------------------------------------------------

  void step() {
    const Token &verb = need("a verb");
    struct Verb {
      const char *name;
      void (Run::*run)();
    };
    static constexpr Verb kVerbs[] = {
        {"QUERY", &Run::query},     {"NEXT", &Run::next},         {"RUN", &Run::runOne},
        {"BURST", &Run::burst},     {"CLASSIFY", &Run::classify}, {"REFRESH", &Run::refresh},
        {"REPORT", &Run::report},   {"CANCEL", &Run::cancel},     {"DONE", &Run::end},
        {"ELAPSE", &Run::elapse},   {"MAINTAIN", &Run::maintain}, {"CONFIGURE", &Run::configure},
        {"RELOAD", &Run::reload},   {"FLUSH", &Run::flush},       {"CHECK", &Run::check},
        {"ADD", &Run::addEndpoint}, {"DRAIN", &Run::drain},       {"REMOVE", &Run::remove},
        {"LOAD", &Run::loadReport}, {"LOG", &Run::drainLog},
    };
    std::vector<std::string> known;
    for (const Verb &v : kVerbs) {
      if (verb.text == v.name)
        return (this->*v.run)();
      known.push_back(v.name);
    }
    unknown("verb", verb, known);
  }

  void status(semdns_status code) {
    last_["status"] = code == SEMDNS_OK               ? "ok"
                      : code == SEMDNS_ERROR_ARGUMENT ? "argument"
                      : code == SEMDNS_ERROR_MEMORY   ? "memory"
                                                      : semdns_status_text(code);
  }

  Live &find(const Token &name) {
    const auto found = live_.find(name.text);
    if (found == live_.end()) {
      std::vector<std::string> known;
      for (const auto &[k, v] : live_)
        known.push_back(k);
      unknown("query", name, known);
    }
    return found->second;
  }

  /// Fills `live` from the rest of the line and begins the query.
  void beginQuery(Live &live, const Token &text) {
    live.text = text.text;
    semdns_query plain = {};
    plain.size = sizeof plain;
    semdns_dispatch_query q = {};
    q.size = sizeof q;
    q.query = &plain;
    while (more()) {
      const Token &token = tokens_[at_++];
      if (token.text == "hedge") {
        q.flags |= SEMDNS_DISPATCH_HEDGE;
        continue;
      }
      if (token.text == "later") {
        q.flags |= SEMDNS_DISPATCH_LATER;
        continue;
      }
      const Pair p = pair(token);
      if (p.key == "deadline")
        plain.deadline = now_ + static_cast<uint64_t>(duration(p.where, p.value));
      else if (p.key == "tokens")
        q.tokens = static_cast<uint32_t>(whole(p.where, p.value));
      else if (p.key == "output")
        q.output_tokens = static_cast<uint32_t>(whole(p.where, p.value));
      else if (p.key == "session")
        q.session = whole(p.where, p.value);
      else if (p.key == "lane")
        q.lane = static_cast<uint32_t>(whole(p.where, p.value));
      else if (p.key == "region")
        live.region = p.value, q.region = live.region.c_str();
      else if (p.key == "regions")
        live.regions = p.value, q.regions = live.regions.c_str();
      else if (p.key == "scope")
        live.scope = p.value;
      else if (p.key == "context")
        live.context = p.value;
      else if (p.key == "id")
        live.requestId = p.value, q.request_id = live.requestId.c_str();
      else if (p.key == "traceparent")
        live.traceparent = p.value, q.traceparent = live.traceparent.c_str();
      else if (p.key == "blocks")
        for (const std::string &block : list(p.value))
          live.blocks.push_back(whole(p.where, block));
      else
        unknownKey(p, {"deadline", "tokens", "output", "session", "lane", "region", "regions",
                       "scope", "id", "traceparent", "blocks", "context", "hedge", "later"});
    }
    plain.text = live.text.data();
    plain.text_size = live.text.size();
    plain.context = live.context.data();
    plain.context_size = live.context.size();
    plain.scope = live.scope.data();
    plain.scope_size = live.scope.size();
    q.blocks = live.blocks.data();
    q.block_count = static_cast<uint32_t>(live.blocks.size());
    const semdns_status code = semdns_query_begin(dispatcher_, scratch_, &q, now_, &live.ticket);
    status(code);
    if (code != SEMDNS_OK)
      live.facts = {{"action", "none"}};
  }

  /// One step of the ticket; its facts are what CHECK sees.
  semdns_step advance(const std::string &name, Live &live) {
    semdns_step s = {};
    s.size = sizeof s;
    const semdns_status code = semdns_query_next(dispatcher_, live.ticket, now_, &s);
    status(code);
    Facts f;
    if (code != SEMDNS_OK) {
      f["action"] = "none";
    } else if (s.action != SEMDNS_DONE) {
      f["action"] = s.action == SEMDNS_TRY ? "try" : s.action == SEMDNS_WAIT ? "wait" : "classify";
      f["until"] = s.until == UINT64_MAX ? "never" : milliseconds(s.until - now_);
      if (s.action == SEMDNS_TRY) {
        live.attempts.push_back(s.attempt);
        f["attempt"] = number(s.number);
        f["timeout"] = milliseconds(s.timeout);
        f["endpoint"] = s.endpoint;
        f["engine"] = s.engine;
        f["hedge"] = number(s.hedge);
        f["probe"] = number(s.probe);
      }
      say(name + ": " + f["action"] + " " + f["endpoint"]);
    } else {
      const semdns_dispatch_answer &a = s.answer;
      f["action"] = "done";
      f["status"] = semdns_answer_status_text(static_cast<semdns_answer_status>(a.status));
      f["reason"] = semdns_answer_reason_text(static_cast<semdns_answer_reason>(a.reason));
      f["retryable"] = number(a.retryable);
      f["stage"] = semdns_stage_text(a.stage);
      f["ttl"] = number(a.ttl);
      f["attempts"] = number(a.attempts);
      f["zones_tried"] = number(a.zones_tried);
      f["hedged"] = number(a.hedged);
      f["panic"] = number(a.panic);
      f["cached"] = number(a.cached);
      f["refresh"] = number(a.refresh);
      f["serial"] = number(a.serial);
      f["retry_after"] = milliseconds(a.retry_after);
      f["zone"] = a.zone.name;
      f["classified"] = a.classified.name;
      f["engine"] = a.engine;
      f["endpoint"] = a.endpoint;
      f["by"] = a.by;
      f["pinned"] = number(a.pinned);
      f["id"] = a.request_id;
      f["traceparent"] = a.traceparent;
      say(name + ": done " + f["status"] + " " + f["reason"] + " " + f["zone"] + " " +
          f["endpoint"]);
    }
    live.facts = f;
    return s;
  }

  void query() {
    const Token name = need("a name for the query");
    if (live_.count(name.text))
      bad(name, "query '" + name.text + "' is still there");
    const Token &text = need("the text");
    Live &live = live_[name.text];
    beginQuery(live, text);
    if (live.ticket)
      advance(name.text, live);
    else
      live_[name.text].facts["action"] = "none";
  }

  void next() {
    const Token &name = need("a query");
    advance(name.text, find(name));
  }

  /// Leads a query to its end against the simulated endpoints; time passes as they take it.
  void drive(const std::string &name, Live &live) {
    struct Coming {
      uint64_t at;
      uint64_t attempt;
      semdns_event event;
    };
    std::vector<Coming> coming;
    semdns_step s = {};
    if (live.facts["action"] == "try") { // QUERY has begun it
      s.action = SEMDNS_TRY;
      s.attempt = live.attempts.back();
      std::snprintf(s.endpoint, sizeof s.endpoint, "%s", live.facts["endpoint"].c_str());
      s.until = live.facts["until"] == "never"
                    ? UINT64_MAX
                    : now_ + static_cast<uint64_t>(
                                 std::strtod(live.facts["until"].c_str(), nullptr) * kMs);
    } else {
      s = advance(name, live);
    }
    while (s.action != SEMDNS_DONE) {
      if (s.action == SEMDNS_CLASSIFY) {
        semdns_query_classify(dispatcher_, scratch_, live.ticket, now_);
        s = advance(name, live);
        continue;
      }
      if (s.action == SEMDNS_TRY) {
        const Simulated &e = simulated_[s.endpoint];
        if (e.state == "up") {
          coming.push_back({now_ + e.latency, s.attempt, SEMDNS_REPORT_OK});
        } else if (e.state == "down") {
          coming.push_back({now_ + kMs, s.attempt, SEMDNS_REPORT_ERROR});
        } else if (e.state == "cut") {
          coming.push_back({now_ + e.latency / 2, s.attempt, SEMDNS_FIRST_BYTE});
          coming.push_back({now_ + e.latency, s.attempt, SEMDNS_REPORT_ERROR});
        }
      }
      const auto first =
          std::min_element(coming.begin(), coming.end(),
                           [](const Coming &a, const Coming &b) { return a.at < b.at; });
      if (first != coming.end() && first->at <= s.until) {
        now_ = first->at;
        semdns_report(dispatcher_, first->attempt, first->event, nullptr, now_);
        coming.erase(first);
      } else if (s.until != UINT64_MAX) {
        now_ = std::max(now_, s.until);
      } else {
        break; // nothing will ever happen
      }
      s = advance(name, live);
    }
  }

  void runOne() {
    const Token name = need("a query");
    if (more()) {
      if (live_.count(name.text))
        bad(name, "query '" + name.text + "' is still there");
      Live &live = live_[name.text];
      beginQuery(live, need("the text"));
      if (!live.ticket)
        return;
      drive(name.text, live);
      return;
    }
    drive(name.text, find(name));
  }

  void burst() {
    const Token name = need("a name for the burst");
    const Token &count = need("how many");
    const uint64_t n = whole(count, count.text);
    if (n > 1000000)
      bad(count, "at most a million");
    const Token text = need("the text");
    std::map<std::string, uint64_t> tally;
    const size_t rest = at_;
    for (uint64_t i = 0; i < n; ++i) {
      Live live;
      at_ = rest;
      beginQuery(live, text);
      if (!live.ticket) {
        ++tally["none"];
        continue;
      }
      drive(name.text, live);
      ++tally[live.facts["status"]];
      ++tally["zone:" + live.facts["zone"]];
      if (!live.facts["endpoint"].empty())
        ++tally["endpoint:" + live.facts["endpoint"]];
      tally["cached"] += live.facts["cached"] != "0";
      tally["attempts"] += std::strtoull(live.facts["attempts"].c_str(), nullptr, 10);
      semdns_query_end(dispatcher_, live.ticket, now_);
      semdns_maintain(dispatcher_, now_, 16);
    }
    at_ = tokens_.size();
    Facts &facts = bursts_[name.text];
    facts.clear();
    for (const auto &[key, value] : tally)
      facts[key] = number(value);
  }

  void report() {
    const Token &name = need("a query");
    Live &live = find(name);
    const Token &word = need("an event");
    const std::vector<std::string> events = {"FIRST_BYTE", "OK", "ERROR", "TIMEOUT", "CANCEL"};
    const auto found = std::find(events.begin(), events.end(), word.text);
    if (found == events.end())
      unknown("event", word, events);
    size_t attempt = live.attempts.size();
    uint64_t raw = 0;
    semdns_measures measures = {};
    measures.size = sizeof measures;
    while (more()) {
      const Pair p = pair(tokens_[at_++]);
      if (p.key == "attempt")
        attempt = whole(p.where, p.value);
      else if (p.key == "latency")
        measures.latency = static_cast<uint64_t>(duration(p.where, p.value));
      else if (p.key == "raw")
        raw = whole(p.where, p.value);
      else
        unknownKey(p, {"attempt", "latency", "raw"});
    }
    if (!raw && (attempt < 1 || attempt > live.attempts.size()))
      bad(name, "the query has " + number(live.attempts.size()) + " attempts");
    status(semdns_report(dispatcher_, raw ? raw : live.attempts[attempt - 1],
                         static_cast<semdns_event>(found - events.begin() + 1), &measures, now_));
  }

  void cancel() { status(semdns_query_cancel(dispatcher_, find(need("a query")).ticket, now_)); }
  void end() {
    const Token &name = need("a query");
    status(semdns_query_end(dispatcher_, find(name).ticket, now_));
    live_.erase(name.text);
  }
  void elapse() {
    const Token &time = need("a time");
    now_ += static_cast<uint64_t>(duration(time, time.text));
  }
  void maintain() {
    uint64_t budget = UINT32_MAX;
    if (more()) {
      const Token &word = need("a budget");
      budget = whole(word, word.text);
    }
    last_["changed"] = number(semdns_maintain(dispatcher_, now_, static_cast<uint32_t>(budget)));
  }
  void configure() {
    const std::string text = block();
    semdns_error error = {};
    error.size = sizeof error;
    status(semdns_dispatcher_configure(dispatcher_, artifact_, text.data(), text.size(), now_,
                                       &error));
    last_["error"] = error.message;
    say(std::string("configure: ") + (error.message[0] ? error.message : "ok"));
  }
  void reload() {
    const Token &name = need("an artifact");
    const auto found = sources_.find(name.text);
    if (found == sources_.end())
      unknown("artifact", name, order_);
    Source &source = found->second;
    uint32_t flags = 0;
    size_t damage = SIZE_MAX;
    while (more()) {
      const Token &token = tokens_[at_++];
      if (token.text == "back") {
        flags = SEMDNS_SWAP_BACK;
        continue;
      }
      const Pair p = pair(token);
      if (p.key != "damage")
        unknownKey(p, {"damage", "back"});
      damage = whole(p.where, p.value);
      if (damage >= source.bytes.size())
        bad(p.where, "the file has " + number(source.bytes.size()) + " bytes");
    }
    semdns_error error = {};
    error.size = sizeof error;
    semdns_artifact *artifact = semdns_artifact_retain(source.artifact);
    if (damage != SIZE_MAX) {
      semdns_artifact_release(artifact);
      std::string bytes = source.bytes;
      bytes[damage] = static_cast<char>(bytes[damage] ^ 1);
      const semdns_status opened =
          semdns_artifact_open_memory(bytes.data(), bytes.size(), nullptr, &artifact, &error);
      if (opened != SEMDNS_OK) {
        status(opened);
        last_["error"] = error.message;
        return;
      }
    }
    const semdns_status swapped = semdns_resolver_swap_with(resolver_, artifact, flags, &error);
    status(swapped);
    last_["error"] = error.message;
    semdns_artifact_release(artifact);
    if (swapped == SEMDNS_OK)
      artifact_ = source.artifact;
  }
  void flush() {
    std::string zone, scope;
    semdns_flush f = {};
    f.size = sizeof f;
    f.artifact = artifact_;
    while (more()) {
      const Pair p = pair(tokens_[at_++]);
      if (p.key == "zone")
        zone = p.value, f.what |= SEMDNS_FLUSH_ZONE;
      else if (p.key == "scope")
        scope = p.value, f.what |= SEMDNS_FLUSH_SCOPE;
      else if (p.key == "serial")
        f.serial = whole(p.where, p.value), f.what |= SEMDNS_FLUSH_SERIAL;
      else
        unknownKey(p, {"zone", "scope", "serial"});
    }
    f.zone = zone.c_str();
    f.scope = scope.data();
    f.scope_size = scope.size();
    uint64_t dropped = 0;
    status(semdns_cache_flush(dispatcher_, &f, &dropped));
    last_["dropped"] = number(dropped);
  }
  void classify() {
    status(semdns_query_classify(dispatcher_, scratch_, find(need("a query")).ticket, now_));
  }
  /// As whoever was told to would do.
  void refresh() {
    const Token text = need("a text");
    std::string scope, context;
    semdns_query q = {};
    q.size = sizeof q;
    while (more()) {
      const Pair p = pair(tokens_[at_++]);
      if (p.key == "scope")
        scope = p.value;
      else if (p.key == "context")
        context = p.value;
      else
        unknownKey(p, {"scope", "context"});
    }
    q.text = text.text.data();
    q.text_size = text.text.size();
    q.scope = scope.data();
    q.scope_size = scope.size();
    q.context = context.data();
    q.context_size = context.size();
    semdns_answer answer = {};
    answer.size = sizeof answer;
    status(semdns_dispatcher_refresh(dispatcher_, scratch_, &q, now_, &answer));
  }

  void addEndpoint() {
    const std::string id = need("an id").text;
    std::string engine, region;
    semdns_endpoint e = {};
    e.size = sizeof e;
    while (more()) {
      const Pair p = pair(tokens_[at_++]);
      if (p.key == "engine")
        engine = p.value;
      else if (p.key == "region")
        region = p.value, e.region = region.c_str();
      else if (p.key == "weight")
        e.weight = static_cast<uint32_t>(whole(p.where, p.value));
      else if (p.key == "capacity")
        e.capacity = static_cast<uint32_t>(whole(p.where, p.value));
      else
        unknownKey(p, {"engine", "region", "weight", "capacity"});
    }
    e.id = id.c_str();
    e.engine = engine.c_str();
    status(semdns_endpoint_add(dispatcher_, &e, now_));
  }
  void drain() { status(semdns_endpoint_drain(dispatcher_, need("an endpoint").text.c_str())); }
  void remove() { status(semdns_endpoint_remove(dispatcher_, need("an endpoint").text.c_str())); }
  void loadReport() {
    const std::string id = need("an endpoint").text;
    semdns_load report = {};
    report.size = sizeof report;
    while (more()) {
      const Pair p = pair(tokens_[at_++]);
      if (p.key == "running")
        report.running = static_cast<uint32_t>(whole(p.where, p.value));
      else if (p.key == "waiting")
        report.waiting = static_cast<uint32_t>(whole(p.where, p.value));
      else if (p.key == "kv")
        report.kv_use = std::strtod(p.value.c_str(), nullptr);
      else
        unknownKey(p, {"running", "waiting", "kv"});
    }
    status(semdns_endpoint_load(dispatcher_, id.c_str(), &report, now_));
  }

  /// Moves the log's lines to the result; what the last of them says can be checked.
  void drainLog() {
    std::string buffer(1 << 20, 0);
    uint64_t lines = 0;
    std::string last;
    for (size_t written = 1; written;) {
      if (semdns_log_drain(dispatcher_, buffer.data(), buffer.size(), &written) != SEMDNS_OK)
        break;
      const std::string_view text(buffer.data(), written);
      result.log += text;
      lines += static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n'));
      if (written)
        last = text.substr(text.rfind('\n', written - 2) + 1);
    }
    log_ = {{"lines", number(lines)}};
    if (last.empty())
      return;
    const nlohmann::json record = nlohmann::json::parse(last);
    for (const auto &[key, value] : record.items())
      log_[key] = value.is_string() ? value.get<std::string>() : value.dump();
  }

  // ---- Checks -----------------------------------------------------------------------------------

  Facts endpointFacts(const Token &name) {
    semdns_endpoint_info info = {};
    info.size = sizeof info;
    if (semdns_endpoint_get_info(dispatcher_, name.text.c_str(), now_, &info) != SEMDNS_OK)
      return {{"state", "absent"}};
    return {{"state", semdns_endpoint_state_text(info.state)},
            {"in_flight", number(info.in_flight)},
            {"failures", number(info.failures)},
            {"hold_level", number(info.hold_level)},
            {"success", number(info.success)},
            {"latency", milliseconds(info.latency)},
            {"until", info.until > now_ ? milliseconds(info.until - now_) : "0"},
            {"attempts", number(info.attempts)}};
  }

  Facts statsFacts() {
    semdns_stats s = {};
    s.size = sizeof s;
    semdns_dispatcher_stats(dispatcher_, &s);
    Facts f = {{"tickets", number(s.tickets)},
               {"epoch", number(s.epoch)},
               {"queries", number(s.queries)},
               {"answers", number(s.answers)},
               {"attempts", number(s.attempts)},
               {"retries", number(s.retries)},
               {"hedges", number(s.hedges)},
               {"probes", number(s.probes)},
               {"ejections", number(s.ejections)},
               {"readmissions", number(s.readmissions)},
               {"panics", number(s.panics)},
               {"lease_expiries", number(s.lease_expiries)},
               {"late_reports", number(s.late_reports)},
               {"bad_reports", number(s.bad_reports)},
               {"clock_backwards", number(s.clock_backwards)},
               {"tickets_exhausted", number(s.tickets_exhausted)},
               {"tickets_forgotten", number(s.tickets_forgotten)},
               {"configurations", number(s.configurations)},
               {"bad_configurations", number(s.bad_configurations)},
               {"cache_hits", number(s.cache_hits)},
               {"cache_input_hits", number(s.cache_input_hits)},
               {"cache_misses", number(s.cache_misses)},
               {"cache_stale", number(s.cache_stale)},
               {"cache_encoded", number(s.cache_encoded)},
               {"cache_joined", number(s.cache_joined)},
               {"cache_offered", number(s.cache_offered)},
               {"cache_refreshed", number(s.cache_refreshed)},
               {"cache_entries", number(s.cache_entries)},
               {"cache_capacity", number(s.cache_capacity)},
               {"cache_evictions", number(s.cache_evictions)},
               {"cache_refused", number(s.cache_refused)},
               {"policy_blocked", number(s.policy_blocked)},
               {"policy_dropped", number(s.policy_dropped)},
               {"policy_pinned", number(s.policy_pinned)},
               {"policy_passed", number(s.policy_passed)},
               {"explored", number(s.explored)},
               {"log_written", number(s.log_written)},
               {"log_lost", number(s.log_lost)}};
    for (uint32_t i = 0; i <= SEMDNS_TIMEOUT; ++i)
      f[lower(semdns_answer_status_text(static_cast<semdns_answer_status>(i)))] =
          number(s.by_status[i]);
    return f;
  }

  Facts explainFacts(const Live &live, const std::string &endpoint) {
    struct Looking {
      const std::string &endpoint;
      Facts facts;
    } looking = {endpoint, {{"excluded", "absent"}}};
    semdns_query_explain(
        dispatcher_, live.ticket, now_,
        [](void *user, const semdns_candidate *c) {
          auto *l = static_cast<Looking *>(user);
          if (l->endpoint != c->endpoint)
            return;
          l->facts = {{"excluded", semdns_exclusion_text(c->excluded)},
                      {"engine", c->engine},
                      {"utilisation", number(c->utilisation)},
                      {"complexity", number(c->complexity)},
                      {"affinity", number(c->affinity)},
                      {"geography", number(c->geography)},
                      {"history", number(c->history)},
                      {"score", number(c->score)}};
        },
        &looking);
    return looking.facts;
  }

  void check() {
    ++result.checks;
    const Token what = need("what to check");
    Facts facts;
    bool zeros = false; // what a burst has not met was met 0 times
    if (what.text == "endpoint") {
      facts = endpointFacts(need("an endpoint"));
    } else if (what.text == "stats") {
      facts = statsFacts();
    } else if (what.text == "last") {
      facts = last_;
    } else if (what.text == "log") {
      facts = log_;
    } else if (what.text == "burst") {
      const Token &name = need("a burst");
      if (!bursts_.count(name.text))
        bad(name, "unknown burst '" + name.text + "'");
      facts = bursts_[name.text];
      zeros = true;
    } else if (what.text == "explain") {
      const Live &live = find(need("a query"));
      facts = explainFacts(live, need("an endpoint").text);
    } else {
      facts = find(what).facts;
    }
    if (!more())
      bad(what, "nothing to check");
    while (more()) {
      const Pair p = pair(tokens_[at_++]);
      if (!facts.count(p.key) && !zeros && what.text != "last" && what.text != "log") {
        // The key may belong to another action: that is a finding. A key of no action is a slip.
        static const std::vector<std::string> kOthers = {
            "action",      "until",   "attempt",     "timeout",     "endpoint",    "engine",
            "hedge",       "probe",   "status",      "reason",      "retryable",   "stage",
            "cached",      "refresh", "ttl",         "attempts",    "zones_tried", "hedged",
            "panic",       "serial",  "retry_after", "zone",        "classified",  "id",
            "traceparent", "state",   "by",          "pinned",      "in_flight",   "failures",
            "hold_level",  "success", "latency",     "utilisation", "complexity",  "affinity",
            "geography",   "history", "score",       "excluded"};
        std::vector<std::string> known = kOthers;
        for (const auto &[key, value] : facts)
          known.push_back(key);
        if (std::find(known.begin(), known.end(), p.key) == known.end())
          unknownKey(p, known);
      }
      const auto found = facts.find(p.key);
      const std::string value = found != facts.end() ? found->second : zeros ? "0" : "(none)";
      if (!holds(value, p.op, p.value))
        fail(p, value);
    }
  }

  void fail(const Pair &p, const std::string &found) {
    Diagnostic d;
    d.where = {file_, static_cast<uint32_t>(line_), p.where.column};
    d.message = "check failed: " + p.key + ": expected " + (p.op == "=" ? "" : p.op + " ") + "'" +
                p.value + "', found '" + found + "'";
    result.failures.push_back(d);
  }

  bool holds(const std::string &found, const std::string &op, const std::string &wanted) const {
    char *endFound = nullptr, *endWanted = nullptr;
    const double a = std::strtod(found.c_str(), &endFound);
    const double b = std::strtod(wanted.c_str(), &endWanted);
    const bool numbers = !found.empty() && !wanted.empty() && !*endFound && !*endWanted;
    if (op == "=")
      return numbers ? a == b : found == wanted;
    if (op == "!=")
      return numbers ? a != b : found != wanted;
    return numbers && (op == "<" ? a < b : op == "<=" ? a <= b : op == ">" ? a > b : a >= b);
  }

  std::string file_;
  const std::function<void(const std::string &)> &trace_;
  std::vector<std::string> lines_;
  std::vector<Token> tokens_;
  size_t line_ = 0, at_ = 0;
  uint64_t lastStep_ = 0, now_ = kStart;
  std::map<std::string, Source> sources_;
  std::vector<std::string> order_;
  std::string config_;
  bool hasConfig_ = false;
  semdns_dispatcher_options options_ = {};
  std::map<std::string, Simulated> simulated_;
  std::map<std::string, Live> live_;
  std::map<std::string, Facts> bursts_;
  Facts last_, log_;
  semdns_artifact *artifact_ = nullptr;
  semdns_resolver *resolver_ = nullptr;
  semdns_scratch *scratch_ = nullptr;
  semdns_dispatcher *dispatcher_ = nullptr;
  std::unique_ptr<void, Free> memory_;
};

} // namespace

ScenarioResult runScenario(std::string_view text, const std::string &fileName, Diagnostics &diags,
                           const std::function<void(const std::string &)> &trace) {
  std::unique_ptr<Run> run;
  try {
    run = std::make_unique<Run>(text, fileName, trace);
    run->run();
  } catch (const Bad &bad) {
    diags.error({fileName, bad.line, bad.column}, bad.message, bad.help);
  }
  return run ? std::move(run->result) : ScenarioResult();
}

} // namespace semdns::sim
