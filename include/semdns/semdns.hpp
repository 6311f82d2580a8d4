// C++17 face of semdns.h: owning handles, no overhead, header-only. Threads and lifetimes are as
// semdns.h says.
//
//     semdns::Artifact artifact = semdns::Artifact::open("demo.sdna");   // throws semdns::Error
//     semdns::Resolver resolver(artifact);
//     semdns::Scratch scratch(resolver);                                 // one per thread
//     semdns::Answer answer = resolver.resolve(scratch, "Is a verbal NDA enforceable?");
//     std::puts(answer.zone().name);
//
// Without exceptions (-fno-exceptions) use the overloads that take a semdns::Error: an object that
// could not be made is empty (`!object`).
#ifndef SEMDNS_SEMDNS_HPP
#define SEMDNS_SEMDNS_HPP

#include "semdns/semdns.h"

#include <cstring>
#include <string_view>
#include <utility>
#if defined(__cpp_exceptions)
#include <exception>
#endif

namespace semdns {

// What went wrong. Thrown where exceptions are on.
class Error
#if defined(__cpp_exceptions)
    : public std::exception
#endif
{
public:
  Error() noexcept {
    std::memset(&raw_, 0, sizeof raw_);
    raw_.size = sizeof raw_;
  }
  explicit Error(semdns_status status) noexcept : Error() {
    raw_.code = status;
    std::strncpy(raw_.message, semdns_status_text(status), sizeof raw_.message - 1);
  }
  semdns_status status() const noexcept { return static_cast<semdns_status>(raw_.code); }
  explicit operator bool() const noexcept { return raw_.code != SEMDNS_OK; }
  const char *message() const noexcept { return raw_.message; }
  const char *section() const noexcept { return raw_.section; }
  uint64_t offset() const noexcept { return raw_.offset; }
#if defined(__cpp_exceptions)
  const char *what() const noexcept override { return raw_.message; }
#endif
  semdns_error *raw() noexcept { return &raw_; }

private:
  semdns_error raw_;
};

struct OpenOptions {
  uint32_t flags = SEMDNS_OPEN_COPY;
  const char *isa = nullptr;
  semdns_verify_fn verify = nullptr;
  void *verifyUser = nullptr;
};

// Shared and immutable; copying takes a reference.
class Artifact {
public:
  Artifact() noexcept = default;
  Artifact(const Artifact &other) noexcept
      : raw_(other.raw_ ? semdns_artifact_retain(other.raw_) : nullptr) {}
  Artifact(Artifact &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Artifact &operator=(Artifact other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  ~Artifact() { semdns_artifact_release(raw_); }
  // Takes a reference of its own to one that the C ABI gave.
  static Artifact share(semdns_artifact *raw) noexcept {
    Artifact artifact;
    artifact.raw_ = raw ? semdns_artifact_retain(raw) : nullptr;
    return artifact;
  }
  explicit operator bool() const noexcept { return raw_ != nullptr; }

  static Artifact open(const char *path, const OpenOptions &options, Error &error) noexcept {
    const semdns_open_options o = raw(options);
    Artifact artifact;
    semdns_artifact_open_path(path, &o, &artifact.raw_, error.raw());
    return artifact;
  }
  static Artifact openMemory(const void *data, size_t size, const OpenOptions &options,
                             Error &error) noexcept {
    const semdns_open_options o = raw(options);
    Artifact artifact;
    semdns_artifact_open_memory(data, size, &o, &artifact.raw_, error.raw());
    return artifact;
  }
#if defined(__cpp_exceptions)
  static Artifact open(const char *path, const OpenOptions &options = {}) {
    Error error;
    Artifact artifact = open(path, options, error);
    if (!artifact)
      throw error;
    return artifact;
  }
  static Artifact openMemory(const void *data, size_t size, const OpenOptions &options = {}) {
    Error error;
    Artifact artifact = openMemory(data, size, options, error);
    if (!artifact)
      throw error;
    return artifact;
  }
#endif

  semdns_artifact_info info() const noexcept {
    semdns_artifact_info i;
    std::memset(&i, 0, sizeof i);
    i.size = sizeof i;
    semdns_artifact_get_info(raw_, &i);
    return i;
  }
  // Null if the key is absent.
  const char *meta(const char *key) const noexcept { return semdns_artifact_meta(raw_, key); }
  // By DNS name or path; UINT32_MAX if there is none.
  uint32_t findZone(const char *name) const noexcept {
    return semdns_artifact_find_zone(raw_, name);
  }
  uint32_t zoneParent(uint32_t zone) const noexcept {
    return semdns_artifact_zone_parent(raw_, zone);
  }
  semdns_zone_ref zone(uint32_t index) const noexcept {
    semdns_zone_ref ref;
    std::memset(&ref, 0, sizeof ref);
    semdns_artifact_zone(raw_, index, &ref);
    return ref;
  }
  semdns_artifact *raw() const noexcept { return raw_; }

private:
  static semdns_open_options raw(const OpenOptions &options) noexcept {
    semdns_open_options o;
    std::memset(&o, 0, sizeof o);
    o.size = sizeof o;
    o.flags = options.flags;
    o.isa = options.isa;
    o.verify = options.verify;
    o.verify_user = options.verifyUser;
    return o;
  }
  semdns_artifact *raw_ = nullptr;
};

class Resolver;

// Working memory of one thread. Must go before its resolver does.
class Scratch {
public:
  Scratch() noexcept = default;
  inline Scratch(const Resolver &resolver, Error &error) noexcept;
#if defined(__cpp_exceptions)
  inline explicit Scratch(const Resolver &resolver);
#endif
  Scratch(Scratch &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Scratch &operator=(Scratch &&other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  ~Scratch() { semdns_scratch_destroy(raw_); }
  explicit operator bool() const noexcept { return raw_ != nullptr; }
  semdns_scratch *raw() const noexcept { return raw_; }

private:
  semdns_scratch *raw_ = nullptr;
};

// An answer. Its strings live until the next call with the same scratch.
class Answer {
public:
  Answer() noexcept { raw_.size = sizeof raw_; }
  semdns_answer_status status() const noexcept {
    return static_cast<semdns_answer_status>(raw_.status);
  }
  semdns_answer_reason reason() const noexcept {
    return static_cast<semdns_answer_reason>(raw_.reason);
  }
  const semdns_zone_ref &zone() const noexcept { return raw_.zone; }
  const semdns_zone_ref &best() const noexcept { return raw_.best; }
  double confidence() const noexcept { return raw_.zone.confidence / 65536.0; }
  const semdns_answer &operator*() const noexcept { return raw_; }
  const semdns_answer *operator->() const noexcept { return &raw_; }
  semdns_answer *raw() noexcept { return &raw_; }

private:
  semdns_answer raw_;
};

// Routes texts; shared by any number of threads.
class Resolver {
public:
  Resolver() noexcept = default;
  Resolver(const Artifact &artifact, Error &error) noexcept {
    semdns_resolver_create(artifact.raw(), nullptr, &raw_, error.raw());
  }
  Resolver(Resolver &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Resolver &operator=(Resolver &&other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  ~Resolver() { semdns_resolver_destroy(raw_); }
  explicit operator bool() const noexcept { return raw_ != nullptr; }

  // Replaces the artifact while others resolve.
  /// `flags`: SEMDNS_SWAP_*.
  semdns_status swap(const Artifact &artifact, Error &error, uint32_t flags = 0) noexcept {
    return semdns_resolver_swap_with(raw_, artifact.raw(), flags, error.raw());
  }
  // A query with all fields zero but its size.
  static semdns_query query(std::string_view text) noexcept {
    semdns_query q;
    std::memset(&q, 0, sizeof q);
    q.size = sizeof q;
    q.text = text.data();
    q.text_size = text.size();
    return q;
  }
  semdns_status resolve(Scratch &scratch, const semdns_query &q, Answer &answer) noexcept {
    return semdns_resolve(raw_, scratch.raw(), &q, answer.raw());
  }
  // What each stage says before thresholds and guards; for calibration and evaluation.
  semdns_status measure(Scratch &scratch, const semdns_query &q,
                        semdns_evidence &evidence) noexcept {
    evidence.size = sizeof evidence;
    return semdns_measure(raw_, scratch.raw(), &q, &evidence);
  }
#if defined(__cpp_exceptions)
  explicit Resolver(const Artifact &artifact) {
    Error error;
    if (semdns_resolver_create(artifact.raw(), nullptr, &raw_, error.raw()) != SEMDNS_OK)
      throw error;
  }
  Answer resolve(Scratch &scratch, std::string_view text, uint32_t topK = 1) {
    semdns_query q = query(text);
    q.top_k = topK;
    Answer answer;
    const semdns_status status = resolve(scratch, q, answer);
    if (status != SEMDNS_OK)
      throw Error(status);
    return answer;
  }
#endif
  semdns_resolver *raw() const noexcept { return raw_; }

private:
  semdns_resolver *raw_ = nullptr;
};

inline Scratch::Scratch(const Resolver &resolver, Error &error) noexcept {
  semdns_scratch_create(resolver.raw(), &raw_, error.raw());
}
#if defined(__cpp_exceptions)
inline Scratch::Scratch(const Resolver &resolver) {
  Error error;
  if (semdns_scratch_create(resolver.raw(), &raw_, error.raw()) != SEMDNS_OK)
    throw error;
}
#endif

} // namespace semdns

#endif // SEMDNS_SEMDNS_HPP
