#include "runtime/cache/flights.h"

#include <string.h>

namespace semdns::cache {
namespace {

struct Guard {
  Flights &flights;
  explicit Guard(Flights &f) : flights(f) { pthread_mutex_lock(&f.lock); }
  ~Guard() { pthread_mutex_unlock(&flights.lock); }
  Guard(const Guard &) = delete;
  Guard &operator=(const Guard &) = delete;
};

/// With the last member goes the flight.
void removeMember(Flight &f) {
  if (--f.members)
    return;
  semdns_artifact_release(f.artifact);
  f.artifact = nullptr;
  f.state = FlightState::Free;
}

} // namespace

Joined join(Flights &flights, const Key &key, semdns_artifact *artifact, bool willing,
            uint32_t &number, bool &promised) {
  promised = false;
  const Guard guard(flights);
  uint32_t free = kNoFlight;
  for (uint32_t i = 0; i < kFlights; ++i) {
    Flight &f = flights.flights[i];
    if (f.state == FlightState::Free) {
      free = free == kNoFlight ? i : free;
      continue;
    }
    if (!(f.key == key) || memcmp(f.artifact->digest, artifact->digest, sizeof artifact->digest))
      continue;
    number = i;
    ++f.members;
    if (f.state == FlightState::Open && willing) {
      f.state = FlightState::Running;
      return Joined::Runs;
    }
    if (f.state == FlightState::Open && !f.promised)
      f.promised = promised = true;
    return Joined::Follows;
  }
  number = free;
  if (free == kNoFlight)
    return Joined::None;
  Flight &f = flights.flights[free];
  f.state = willing ? FlightState::Running : FlightState::Open;
  f.promised = promised = !willing;
  f.members = 1;
  f.key = key;
  f.artifact = semdns_artifact_retain(artifact);
  return willing ? Joined::Runs : Joined::Follows;
}

bool run(Flights &flights, uint32_t number) {
  const Guard guard(flights);
  Flight &f = flights.flights[number];
  if (f.state != FlightState::Open)
    return false;
  f.state = FlightState::Running;
  f.promised = false;
  return true;
}

void land(Flights &flights, uint32_t number, semdns_artifact *artifact,
          const resolve::Decision &decision, uint64_t expires, uint32_t ttl) {
  const Guard guard(flights);
  Flight &f = flights.flights[number];
  f.state = FlightState::Landed;
  f.decision = decision;
  f.expires = expires;
  f.ttl = ttl;
  semdns_artifact *before = f.artifact;
  f.artifact = semdns_artifact_retain(artifact);
  semdns_artifact_release(before);
  removeMember(f);
}

void leave(Flights &flights, uint32_t number, bool promised) {
  const Guard guard(flights);
  Flight &f = flights.flights[number];
  if (promised)
    f.promised = false;
  removeMember(f);
}

FlightState watch(Flights &flights, uint32_t number, bool able, bool &promised, Flight &landed) {
  const Guard guard(flights);
  Flight &f = flights.flights[number];
  if (f.state == FlightState::Landed) {
    landed = f;
    semdns_artifact_retain(landed.artifact);
    removeMember(f);
    return FlightState::Landed;
  }
  if (f.state == FlightState::Open && !f.promised && able)
    f.promised = promised = true;
  return f.state;
}

} // namespace semdns::cache
