/// \file Files as tools need them: whole reads with clear errors, writes that leave the old file or
/// the new one and nothing between.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace semdns {

/// Reads a whole file ("-" is stdin). On failure returns nullopt and sets `error` to
/// "cannot read 'PATH': reason".
std::optional<std::string> readFile(const std::string &path, std::string &error,
                                    uint64_t maxBytes = UINT64_MAX);

/// Writes `bytes` to `path` ("-" is stdout) through a temporary file in the same folder: write,
/// fsync, rename, fsync of the folder. Refuses to replace an existing file unless `force`.
/// A device or pipe at `path` is written to as it is. Returns false and sets `error` on failure;
/// then nothing is left behind and an existing file is as it was.
bool writeFileAtomically(const std::string &path, std::string_view bytes, bool force,
                         std::string &error);

/// The refusal that writeFileAtomically would give for an existing `path` without `force`, so that
/// tools can say it before an hour of work; nullopt when the way is free.
std::optional<std::string> outputObstacle(const std::string &path, bool force);

/// Hex of the SHA-256 of `bytes`, 64 characters.
std::string sha256Hex(std::string_view bytes);

/// Path `relative` as seen from the folder that `baseFile` lies in; absolute paths unchanged.
std::string resolveBeside(const std::string &baseFile, const std::string &relative);

/// Offset of the first byte that is not well-formed UTF-8 (RFC 3629), or nullopt.
std::optional<size_t> firstInvalidUtf8(std::string_view text);

} // namespace semdns
