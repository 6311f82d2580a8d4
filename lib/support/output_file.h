/// \file An output that is written piece by piece and is there only once it is complete.
#pragma once

#include <string>
#include <string_view>

namespace semdns {

/// What writeFileAtomically does, for outputs that do not fit in memory: pieces go to a temporary
/// file in the same folder, finish() syncs it and renames it into place. Without finish() nothing
/// is left behind ("-", devices and pipes get what was written). Not thread-safe.
class OutputFile {
public:
  OutputFile() = default;
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;
  ~OutputFile();

  /// All return false and set `error` to "cannot write 'PATH': reason" on failure.
  bool open(const std::string &path, bool force, std::string &error);
  bool write(std::string_view bytes, std::string &error);
  bool finish(std::string &error);

private:
  bool fail(const std::string &why, std::string &error) const;

  std::string path_, temporary_; ///< no temporary: written to as it is
  bool force_ = false;
  int fd_ = -1;
};

} // namespace semdns
