/// \file Counts every request for memory that this program makes, by defining malloc and its kin
/// and mmap itself (the program's definitions win over libc's, for its shared libraries too).
/// Link count_allocations.cpp into the program to have it.
#pragma once

#include <cstdint>

namespace semdns {

/// Requests so far, of all threads. 0 for ever when a sanitizer has the allocator for itself.
uint64_t allocationsSoFar();

/// False in a build with a sanitizer, where nothing is counted.
bool allocationsAreCounted();

} // namespace semdns
