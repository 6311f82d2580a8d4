#include "lib/pack/meta_build.h"

#include "runtime/base/utf8.h"
#include "semdns/format/meta.h"

#include <cstring>

namespace semdns::pack {

namespace {

template <typename T> void append(std::string &out, const T &record) {
  out.append(reinterpret_cast<const char *>(&record), sizeof record);
}

bool fits(const std::string &text, const std::string &key, const char *what, std::string &error) {
  if (text.size() > SEMDNS_META_MAX_STRING)
    error = "metadata '" + key + "': " + what + " of " + std::to_string(text.size()) +
            " bytes; the limit is " + std::to_string(SEMDNS_META_MAX_STRING);
  else if (text.find('\0') != std::string::npos)
    error = "metadata '" + key + "': " + what + " contains a NUL byte";
  else if (base::firstInvalidUtf8(text.data(), text.size()) != text.size())
    error = "metadata '" + key + "': " + what + " is not UTF-8";
  else
    return true;
  return false;
}

} // namespace

// std::map over std::string sorts bytewise, as the format asks.
std::string buildMeta(const std::map<std::string, std::string> &pairs, std::string &error) {
  if (pairs.size() > SEMDNS_META_MAX_PAIRS) {
    error = "metadata: " + std::to_string(pairs.size()) + " pairs; the limit is " +
            std::to_string(SEMDNS_META_MAX_PAIRS);
    return {};
  }
  std::string body;
  for (const auto &[key, value] : pairs) {
    if (key.empty()) {
      error = "metadata: empty key";
      return {};
    }
    if (!fits(key, key, "key", error) || !fits(value, key, "value", error))
      return {};
    append(body, semdns_meta_pair{static_cast<uint32_t>(key.size()),
                                  static_cast<uint32_t>(value.size())});
    body += key;
    body += value;
  }
  std::string out;
  append(out, semdns_meta_header{static_cast<uint32_t>(pairs.size()),
                                 static_cast<uint32_t>(body.size())});
  return out + body;
}

} // namespace semdns::pack
