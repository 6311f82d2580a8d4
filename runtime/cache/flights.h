/// \file Single flight for stage 3: who asks for what somebody is about to compute waits for it.
/// Fixed memory; looked at only where stage 3 would run, which takes far longer than the lock.
#pragma once

#include "runtime/cache/store.h"

namespace semdns::cache {

constexpr uint32_t kFlights = 256;
constexpr uint32_t kNoFlight = 0xffffffffu;

enum class FlightState : uint8_t {
  Free,
  Open,    ///< nobody computes yet: somebody has promised to, or had and has been cancelled
  Running, ///< somebody does, and will land it
  Landed,
};

struct Flight {
  FlightState state;
  bool promised; ///< Open: somebody will begin
  uint32_t members;
  Key key;
  semdns_artifact *artifact; ///< a reference; Landed: the one that decided
  resolve::Decision decision;
  uint64_t expires; ///< of the decision; 0: not kept
  uint32_t ttl;     ///< seconds
};

struct Flights {
  pthread_mutex_t lock;
  Flight *flights; ///< [kFlights]
};

/// What joining has made of the caller, who is a member in all cases but None.
enum class Joined {
  None,    ///< no room: compute alone
  Runs,    ///< compute; then land()
  Follows, ///< watch()
};

/// `willing`: compute now, where nobody else does. Others promise to (`promised` says if they
/// have).
Joined join(Flights &flights, const Key &key, semdns_artifact *artifact, bool willing,
            uint32_t &number, bool &promised);

/// A member that has promised, or sees that nobody has, begins. False: somebody else computes, or
/// it has landed.
bool run(Flights &flights, uint32_t number);

/// Ends Running: the others may have it. The caller is a member no more.
void land(Flights &flights, uint32_t number, semdns_artifact *artifact,
          const resolve::Decision &decision, uint64_t expires, uint32_t ttl);
/// A member goes; `promised`: it had promised to compute.
void leave(Flights &flights, uint32_t number, bool promised);

/// How it stands. Landed: a copy, with a reference to its artifact for the caller, who is a member
/// no more. Open without a promise: `promised` is now the caller's if it is `able`.
FlightState watch(Flights &flights, uint32_t number, bool able, bool &promised, Flight &landed);

} // namespace semdns::cache
